// What an application asks of the worker, with node 18 or newer and no packages: node worker.mjs PICTURE LINK
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const worker = process.env.REMOTE_WORKER_URL ?? "http://127.0.0.1:5000";
const key = process.env.REMOTE_WORKER_KEY;
const [picture, link] = process.argv.slice(2);

class WorkerError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function ask(path, { headers = {}, ...options } = {}, tries = 4) {
  const authorization = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(worker + path, {
    ...options,
    headers: { ...authorization, ...headers },
    signal: AbortSignal.timeout(60_000),
  });
  if (response.ok) return response;
  if ([429, 503].includes(response.status) && tries > 1) {
    await response.arrayBuffer(); // Read to its end, so that the connection can be used again.
    await sleep(1000 * Number(response.headers.get("retry-after") ?? 1));
    return ask(path, { headers, ...options }, tries - 1);
  }
  const { code, message } = await response.json().catch(() => ({}));
  throw new WorkerError(code ?? "no_code", message ?? `HTTP status ${response.status}`);
}

function upload(data) {
  const form = new FormData();
  form.set("file", new Blob([data]), "picture");
  return { method: "POST", body: form };
}

const data = await readFile(picture);

// Six avatars at once, as JSON with base64.
const avatars = await (await ask("/images/rescale_avatar", upload(data))).json();
await writeFile("avatar73.png", Buffer.from(avatars.avatar73.body, "base64"));

// The bytes of one picture.
const small = await ask("/images/fit/800?format=webp", { ...upload(data), headers: { Accept: "image/*" } });
await writeFile("small.webp", Buffer.from(await small.arrayBuffer()));

// What a link leads to.
const card = await (await ask(`/links/preview?url=${encodeURIComponent(link)}`)).json();
console.log(`title: ${card.title}`);

// Markdown as HTML that is safe to show.
const post = { method: "POST", headers: { "Content-Type": "application/json" } };
const rendered = await ask("/text/render_markdown", { ...post, body: JSON.stringify({ text: "**Hello**" }) });
console.log(`html: ${(await rendered.json()).output.trim()}`);

// A failure has a code: compare that, never the message.
try {
  await ask("/images/info", upload("no picture"));
} catch (error) {
  if (!(error instanceof WorkerError)) throw error;
  console.log(`refused: ${error.code}`);
}

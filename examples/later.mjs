// A picture as a job, with node 18 or newer and no packages: node later.mjs PICTURE NAME; the same NAME leads to the same job
import { readFile, writeFile } from "node:fs/promises";

const worker = process.env.REMOTE_WORKER_URL ?? "http://127.0.0.1:5000";
const key = process.env.REMOTE_WORKER_KEY;
const [picture, name] = process.argv.slice(2);
const authorization = key ? { Authorization: `Bearer ${key}` } : {};

async function ask(path, options = {}) {
  const headers = { ...authorization, ...options.headers };
  const response = await fetch(worker + path, { ...options, headers, signal: AbortSignal.timeout(90_000) });
  if (response.ok) return response;
  const { code, message } = await response.json();
  throw new Error(`${code}: ${message}`);
}

const form = new FormData();
form.append("file", new Blob([await readFile(picture)]), "photo");
const target = encodeURIComponent("/images/fit/800?format=webp");
const headers = { Accept: "image/*", "Idempotency-Key": name };
let job = await (await ask(`/jobs?request=${target}`, { method: "POST", headers, body: form })).json();

while (job.state === "queued" || job.state === "running") {
  job = await (await ask(`/jobs/${job.id}?wait=30`)).json();
}
const answer = await ask(`/jobs/${job.id}/result`);
await writeFile("later.webp", Buffer.from(await answer.arrayBuffer()));
console.log(job.id);

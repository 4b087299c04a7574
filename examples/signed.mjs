// A request signed by a shared secret (RFC 9421), with node 18 or newer: node signed.mjs PICTURE
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";

function signed(method, url, body, keyId, secret) {
  const { pathname, search } = new URL(url);
  const components = { "@method": method, "@path": pathname, "@query": search || "?" };
  const headers = {};
  if (body) {
    const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    headers["Content-Digest"] = components["content-digest"] = digest;
  }
  const names = Object.keys(components).map((name) => `"${name}"`).join(" ");
  const now = Math.floor(Date.now() / 1000);
  // The nonce tells two requests of the same second apart: each signature is taken once.
  const nonce = randomBytes(16).toString("base64url");
  const parameters =
    `(${names});created=${now};expires=${now + 60};keyid="${keyId}";alg="hmac-sha256";nonce="${nonce}"`;
  const lines = Object.entries(components).map(([name, value]) => `"${name}": ${value}`);
  const base = [...lines, `"@signature-params": ${parameters}`].join("\n");
  const signature = createHmac("sha256", secret).update(base).digest("base64");
  return { ...headers, "Signature-Input": `sig1=${parameters}`, Signature: `sig1=:${signature}:` };
}

const url = `${process.env.REMOTE_WORKER_URL ?? "http://127.0.0.1:5000"}/images/fit/800?format=webp`;
const boundary = randomBytes(16).toString("hex");
// The digest is of the body as it is sent, so the form is written by hand.
const body = Buffer.concat([
  Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n\r\n`),
  await readFile(process.argv[2]),
  Buffer.from(`\r\n--${boundary}--\r\n`),
]);
const { REMOTE_WORKER_KEY_ID: keyId, REMOTE_WORKER_SECRET: secret } = process.env;
const headers = {
  "Content-Type": `multipart/form-data; boundary=${boundary}`,
  Accept: "image/*",
  ...signed("POST", url, body, keyId, secret),
};
const response = await fetch(url, { method: "POST", headers, body });
if (!response.ok) throw new Error((await response.json()).code);
await writeFile("small.webp", Buffer.from(await response.arrayBuffer()));

// Asking the worker. The key lives in this module's memory and nowhere else.

let key = "";
const wanted = new EventTarget();

export class Failure extends Error {
  constructor({ message, code = "", detail = "", status = 0, requestId = "", more = {} }) {
    super(message);
    Object.assign(this, { code, detail, status, requestId, more });
  }
}

export function useKey(text) {
  key = text.trim();
}

export const hasKey = () => key !== "";

/** Calls back when the worker wants a key, or another one. */
export const onKeyWanted = (act) => wanted.addEventListener("wanted", () => act());

/** The answer, read as `kind` ("json" or "blob"), with the worker's timing. Throws Failure. */
export async function ask(path, { kind = "json", accept, ...options } = {}) {
  const headers = { Accept: accept ?? (kind === "json" ? "application/json" : "image/*"), ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  const began = performance.now();
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "same-origin", redirect: "error", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure({ message: "The worker cannot be reached. Is it still running?" });
  }
  if (!response.ok) throw await failed(response);
  const body = await (kind === "json" ? response.json() : response.blob());
  return { body, timing: timing(response.headers.get("Server-Timing")), elapsed: performance.now() - began };
}

export function posted(name, file, filename = "picture") {
  const form = new FormData();
  form.append(name, file, filename);
  return { method: "POST", body: form };
}

const NOT_HERE = new Set([401, 403, 404, 405]);

/** The answer at `path`, or null where there is none or none for this key. Throws Failure when nobody knows. */
export async function offer(path) {
  try {
    return await ask(path);
  } catch (failure) {
    if (NOT_HERE.has(failure.status)) return null;
    throw failure;
  }
}

async function failed(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // Not the worker's own words: a proxy in front, or a cut.
  }
  if (response.status === 401) wanted.dispatchEvent(new Event("wanted"));
  const retry = response.headers.get("Retry-After");
  const again = retry ? ` (try again in ${retry} s)` : "";
  return new Failure({
    message: `${told.message ?? `The answer was ${response.status}`}${again}`,
    code: String(told.code ?? ""),
    detail: String(told.detail ?? ""),
    status: response.status,
    requestId: String(told.request_id ?? ""),
    more: told,
  });
}

function timing(header) {
  return (header ?? "").split(",").flatMap((entry) => {
    const [name, ...parameters] = entry.trim().split(";");
    const duration = parameters.map((text) => text.trim()).find((text) => text.startsWith("dur="));
    return name && duration ? [{ name, duration: Number.parseFloat(duration.slice(4)) || 0 }] : [];
  });
}

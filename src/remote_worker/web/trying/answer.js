// What came back: status, time, headers, and the body as a picture, as JSON, as lines while they come, or as text.
import { h as make } from "../console/dom.js";

const LONGEST = 400;
const BEGINNINGS = { iVBOR: "png", "/9j/": "jpeg", R0lG: "gif", UklGR: "webp", AAAA: "avif" };

export async function show(place, request) {
  const status = make("p", { class: "status", role: "status" }, "Sent …");
  place.replaceChildren(status);
  const began = performance.now();
  let answer;
  try {
    answer = await fetch(request.url, request.options);
    const kind = (answer.headers.get("content-type") || "").split(";")[0];
    if (kind === "application/x-ndjson") await lines(place, answer);
    else await whole(place, answer, kind, request.options.method);
  } catch (error) {
    status.className = "status failed";
    status.textContent = `No answer: ${error.message}`;
    return;
  }
  status.classList.toggle("failed", answer.status >= 400);
  status.classList.toggle("moved", answer.status >= 300 && answer.status < 400);
  const told = `${Math.round(performance.now() - began)} ms${place.dataset.size ? `, ${place.dataset.size}` : ""}`;
  status.replaceChildren(`${answer.status} ${answer.statusText}`, make("span", { class: "quiet" }, told));
  const rows = [...answer.headers].map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, value)));
  place.append(make("details", { class: "more" }, make("summary", {}, `${rows.length} headers`), make("div", { class: "scroll" }, make("table", {}, ...rows))));
}

async function whole(place, answer, kind) {
  const blob = await answer.blob();
  place.dataset.size = sized(blob.size);
  if (kind.startsWith("image/")) {
    place.append(pictures([[kind, URL.createObjectURL(blob)]]));
    return;
  }
  const text = await blob.text();
  if (!kind.endsWith("json")) {
    if (text) place.append(block(shortened(text)));
    return;
  }
  const value = JSON.parse(text);
  const found = [...within(value)];
  if (found.length) place.append(pictures(found));
  place.append(block(JSON.stringify(value, (_, one) => (typeof one === "string" ? shortened(one) : one), 2)));
}

async function lines(place, answer) {
  const pre = block("");
  place.append(pre);
  let rest = "";
  let size = 0;
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    size += text.length;
    const parts = (rest + text).split("\n");
    rest = parts.pop();
    for (const part of parts) pre.append(`${JSON.stringify(JSON.parse(part), null, 2)}\n`);
  }
  place.dataset.size = sized(size);
}

// Pictures in base64, with the names of their members.
function* within(value, name = "") {
  for (const [key, one] of Object.entries(value && typeof value === "object" ? value : {})) {
    const path = [name, key].filter((part) => part && part !== "body").join(".");
    if (typeof one === "string" && one.length > 60) {
      const kind = Object.entries(BEGINNINGS).find(([begin]) => one.startsWith(begin));
      if (kind) yield [path, `data:image/${kind[1]};base64,${one}`];
    } else {
      yield* within(one, path);
    }
  }
}

function pictures(found) {
  const figures = found.map(([name, address]) => {
    const image = make("img", { src: address, alt: `What came back as ${name}` });
    const says = make("figcaption", { class: "quiet" }, name);
    image.addEventListener("load", () => { says.textContent = `${name}, ${image.naturalWidth} × ${image.naturalHeight}`; });
    return make("figure", {}, image, says);
  });
  return make("div", { class: "pictures" }, ...figures);
}

function block(text) {
  return make("pre", { tabindex: "0", "aria-label": "Body" }, text);
}

function shortened(text) {
  return text.length > LONGEST ? `${text.slice(0, 60)}… (${text.length.toLocaleString("en")} characters)` : text;
}

function sized(bytes) {
  return bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(1)} kB`;
}

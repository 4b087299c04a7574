// Building pieces of the page. What strangers say becomes text nodes and properties here, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class") element.setAttribute("class", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element with attributes (a function listens) and children; a string is a text. */
export const h = (tag, properties = {}, ...children) => filled(document.createElement(tag), properties, children);

/** The same, of a drawing. */
export const s = (tag, properties = {}, ...children) => filled(document.createElementNS(SVG, tag), properties, children);

export const byId = (id) => document.getElementById(id);

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [size, unit] = count < 1e6 ? [count / 1024, "KiB"] : [count / 1048576, "MiB"];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}

export const milliseconds = (time) => (time < 10 ? `${time.toFixed(1)} ms` : time < 1e4 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`);

export const tag = (text, kind = "") => h("span", { class: `tag ${kind}` }, text);

/** Addresses of blobs, which live until the next `clear`. */
export class Addresses {
  #held = new Set();

  of(blob) {
    const address = URL.createObjectURL(blob);
    this.#held.add(address);
    return address;
  }

  clear() {
    for (const address of this.#held) URL.revokeObjectURL(address);
    this.#held.clear();
  }
}

/** A failure as a card: what happened, its code, and where that is explained. */
export function failureCard(failure, title, ...more) {
  return h(
    "div", { class: "card failed", role: "alert" },
    h("h2", {}, title),
    h("p", {}, failure.message),
    failure.code && h(
      "p", { class: "row" },
      h("code", { class: "code" }, failure.detail ? `${failure.code}: ${failure.detail}` : failure.code),
      h("a", { href: `console/errors.html#${encodeURIComponent(failure.code)}`, target: "_blank", rel: "noopener" }, "What that means"),
    ),
    failure.requestId && h("p", { class: "quiet" }, `request ${failure.requestId}`),
    ...more,
  );
}

/** The colour of each step; any other has the first. */
const STEPS = { queue: "third", decode: "second", encode: "fourth" };

/** The steps of the worker's Server-Timing in words. */
export const stepsOf = (answer) => answer.timing.filter((step) => step.name !== "total").map((step) => `${step.name} ${milliseconds(step.duration)}`).join(", ");

/** Steps of the worker's Server-Timing as a bar with a sentence for those who do not see it. */
export function timingBar(answer) {
  const total = answer.timing.find((step) => step.name === "total")?.duration ?? answer.elapsed;
  const steps = answer.timing.filter((step) => step.name !== "total" && step.duration > 0);
  const known = steps.reduce((sum, step) => sum + step.duration, 0);
  const whole = Math.max(total, known, 0.001);
  const said = stepsOf(answer);
  const bar = h("div", { class: "bar", role: "img", "aria-label": `In the worker ${milliseconds(total)}: ${said}`, title: said });
  for (const step of steps) bar.append(part(step.duration / whole, STEPS[step.name]));
  if (known < whole) bar.append(part(1 - known / whole, "rest"));
  return bar;
}

export function part(share, kind = "") {
  const piece = h("i", { class: kind });
  piece.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return piece;
}

// A post: Markdown in, what readers see out.
//
// The worker has sanitised the HTML. The page does not rely on it: it parses it into a document that is never
// shown and runs nothing, and builds what it knows anew, element by element. Nothing else gets here.

import { ask } from "./api.js";
import { Addresses, byId, failureCard, h, milliseconds } from "./dom.js";
import { show } from "./link.js";

const QUIET_MILLISECONDS = 350;
const MOST_PICTURES = 12;
const DEEPEST = 60;

/** The elements that are built anew, and the attributes that are carried over. */
const KNOWN = new Map(Object.entries({
  a: ["title"], abbr: ["title"], b: [], blockquote: [], br: [], caption: [], cite: [], code: [], dd: [], del: [], details: ["open"],
  div: [], dl: [], dt: [], em: [], figcaption: [], figure: [], h1: [], h2: [], h3: [], h4: [], h5: [], h6: [], hr: [], i: [], ins: [],
  kbd: [], li: [], mark: [], ol: ["start"], p: [], pre: [], q: [], s: [], samp: [], small: [], span: [], strong: [], sub: [], summary: [],
  sup: [], table: [], tbody: [], td: ["colspan", "rowspan", "align"], tfoot: [], th: ["colspan", "rowspan", "align", "scope"],
  thead: [], tr: [], u: [], ul: [], var: [], wbr: [],
}));

const inert = globalThis.trustedTypes?.createPolicy("inert-html", { createHTML: (text) => text }) ?? { createHTML: (text) => text };
const addresses = new Addresses();
let work = new AbortController();
let waiting = 0;

const HOSTILE = `# Hello from *a stranger*

Some **bold** text, a [link](https://example.org/), and \`code\`.

<script>alert("never")</script>
<img src="x" onerror="alert('never')">
<p style="position:fixed;inset:0" onclick="alert('never')">A paragraph that wanted to cover the page.</p>

[click me](javascript:alert('never')) or <a href="data:text/html,never">me</a>

| what | becomes |
|---|---|
| a script | its own text |
| a table | a table |

> And @you are mentioned.

<form action="https://evil.example/"><input name="password"><button>Sign in</button></form>
<iframe src="https://evil.example/"></iframe>`;

export function start() {
  const field = byId("post-field");
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => void render(), QUIET_MILLISECONDS);
  });
  byId("post-sample").addEventListener("click", () => paste(HOSTILE));
}

export function paste(text) {
  byId("post-field").value = text;
  void render();
}

async function render() {
  work.abort();
  work = new AbortController();
  const { signal } = work;
  const text = byId("post-field").value;
  const [out, source, says] = [byId("post-out"), byId("post-source"), byId("post-says")];
  addresses.clear();
  if (!text.trim()) {
    out.replaceChildren();
    source.hidden = true;
    says.textContent = "";
    return;
  }
  try {
    const answer = await ask("text/render_markdown", {
      method: "POST", body: JSON.stringify({ text }), headers: { "Content-Type": "application/json" }, signal,
    });
    const html = String(answer.body.output);
    out.replaceChildren(...rebuilt(html, signal));
    source.hidden = false;
    source.querySelector("pre").textContent = html;
    says.textContent = `Rendered in ${milliseconds(answer.timing.find((step) => step.name === "total")?.duration ?? answer.elapsed)}.`;
  } catch (failure) {
    if (signal.aborted) return;
    says.textContent = "";
    out.replaceChildren(failureCard(failure, "It cannot be rendered"));
  }
}

function rebuilt(html, signal) {
  const parsed = new DOMParser().parseFromString(inert.createHTML(html), "text/html");
  const budget = { pictures: MOST_PICTURES, signal };
  return [...parsed.body.childNodes].flatMap((node) => copied(node, budget, 0));
}

function copied(node, budget, depth) {
  if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.data)];
  if (node.nodeType !== Node.ELEMENT_NODE || depth > DEEPEST) return [];
  const name = node.localName;
  if (name === "img") return [picture(node, budget)];
  const attributes = KNOWN.get(name);
  if (!attributes) return [];
  const made = document.createElement(name);
  for (const attribute of attributes) {
    if (node.hasAttribute(attribute)) made.setAttribute(attribute, node.getAttribute(attribute));
  }
  if (name === "a") link(made, node.getAttribute("href") ?? "");
  made.append(...[...node.childNodes].flatMap((child) => copied(child, budget, depth + 1)));
  return [made];
}

function link(made, href) {
  if (/^\/(?!\/)/.test(href)) made.className = "mention"; // It leads into the forum, so nowhere from here.
  if (!/^(?:https?|mailto):/i.test(href)) return;
  made.href = href;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow ugc";
}

/** A picture comes through the worker, as everything of others does. */
function picture(node, budget) {
  const url = node.getAttribute("src") ?? "";
  const alt = node.getAttribute("alt") ?? "";
  const place = h("span", { class: "not-shown" }, `picture: ${alt || url || "without an address"}`);
  if (!/^https?:\/\//i.test(url) || budget.pictures < 1) return place;
  budget.pictures -= 1;
  show(url, "fit=1200&format=webp", budget.signal, addresses).then((image) => {
    image.alt = alt;
    place.replaceWith(image);
  }, () => {});
  return place;
}

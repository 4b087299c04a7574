// The page: every operation of openapi.json, to be read and tried.
import { h as make } from "../console/dom.js";
import { show } from "./answer.js";
import { Form } from "./request.js";
import { Reader } from "./schema.js";
import { prose, words } from "./words.js";

const COPIED_MILLISECONDS = 2000;

const main = document.getElementById("operations");
const key = document.getElementById("key");
document.getElementById("key-form").addEventListener("submit", (event) => event.preventDefault());

function operationCard(reader, path, method, operation) {
  const card = make("details", { class: "operation", id: operation.operationId },
    make("summary", {}, method_(method), make("span", { class: "path" }, path), make("span", { class: "quiet" }, operation.summary)));
  card.addEventListener("toggle", () => {
    if (card.open && card.children.length === 1) card.append(operationBody(reader, path, method, operation));
  });
  card.dataset.words = [path, method, operation.summary, operation.description || "", operation.operationId, ...codes(reader, operation)].join(" ").toLowerCase();
  return card;
}

function method_(method) {
  return make("span", { class: `method ${method}` }, method.toUpperCase());
}

function codes(reader, operation) {
  return Object.entries(operation.responses).flatMap(([status, answer]) => [status, reader.read(answer).description]);
}

function operationBody(reader, path, method, operation) {
  const form = new Form(reader, path, method, operation);
  const answer = make("div", { class: "answer" });
  const curl = make("code");
  const copy = make("button", { type: "button" }, "Copy");
  const send = make("button", { class: "main", type: "submit" }, "Send");
  const tell = () => { curl.textContent = form.request(key.value.trim()).curl; };
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(curl.textContent);
      copy.textContent = "Copied";
    } catch {
      // Without https a browser leaves the clipboard to the keyboard.
      getSelection().selectAllChildren(curl);
      copy.textContent = "Marked: Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, COPIED_MILLISECONDS);
  });
  const filled = make("form", { class: "body", novalidate: true },
    ...(operation.description ? prose(operation.description) : []),
    form.element,
    make("div", { class: "copied" }, make("pre", { "aria-label": "The same from a shell", tabindex: "0" }, curl), copy),
    make("div", { class: "row" }, send, make("a", { class: "quiet", href: `#${operation.operationId}` }, "Link to this")),
    answer,
    told(reader, operation));
  filled.addEventListener("input", tell);
  filled.addEventListener("change", tell);
  key.addEventListener("input", tell);
  filled.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.missing) {
      form.missing.reportValidity();
      return;
    }
    send.disabled = true;
    await show(answer, form.request(key.value.trim()));
    send.disabled = false;
    send.focus();
  });
  tell();
  return filled;
}

function told(reader, operation) {
  const answers = Object.entries(operation.responses).map(([status, node]) => {
    const answer = reader.read(node);
    const kinds = Object.keys(answer.content || {});
    const title = make("h4", {}, make("code", {}, status), Number(status) < 400 && kinds.length ? ` ${kinds.join(", ")}` : "");
    const schema = answer.content?.["application/json"]?.schema || answer.content?.["application/x-ndjson"]?.["x-item-schema"];
    const rows = Number(status) < 400 && schema ? reader.members(schema) : [];
    return make("div", { class: "told" }, title, ...prose(answer.description), rows.length ? table(rows) : undefined);
  });
  return make("details", { class: "more" }, make("summary", {}, "Answers, member by member"), ...answers);
}

function table(rows) {
  const lines = rows.map(({ name, kind, about, optional }) => {
    const at = name.lastIndexOf(".") + 1;
    return make("tr", {},
      make("td", {}, make("span", { class: "deeper" }, name.slice(0, at)), name.slice(at)),
      make("td", {}, kind, optional ? make("span", { class: "quiet" }, ", may be left out") : undefined),
      make("td", {}, ...words(about)));
  });
  const head = make("tr", {}, ...["member", "kind", "what it is"].map((title) => make("th", { scope: "col" }, title)));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...lines)));
}

function side(tag, group) {
  const links = group.map(({ path, method, operation }) =>
    make("li", {}, make("a", { href: `#${operation.operationId}`, "data-for": operation.operationId }, method_(method), path)));
  return make("section", {}, make("h2", {}, tag.name), make("ul", {}, ...links));
}

function filter(cards) {
  const wanted = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const card of cards) {
    card.hidden = !wanted.every((word) => card.dataset.words.includes(word));
    count += card.hidden ? 0 : 1;
    document.querySelector(`[data-for="${card.id}"]`).parentElement.hidden = card.hidden;
  }
  document.getElementById("found").textContent = wanted.length ? `${count} of ${cards.length} operations` : "";
}

function openTarget() {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card instanceof HTMLDetailsElement) {
    card.open = true;
    card.scrollIntoView();
    card.querySelector("summary").focus({ preventScroll: true });
  }
}

async function start() {
  const answer = await fetch(new URL("openapi.json", new URL(".", location.href)));
  const reader = new Reader(await answer.json());
  const { info, tags, paths } = reader.document;
  document.getElementById("version").textContent = info.version;
  document.getElementById("about").append(...prose(info.description));
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const cards = [];
  for (const tag of tags) {
    const group = all.filter(({ operation }) => operation.tags[0] === tag.name);
    document.getElementById("list").append(side(tag, group));
    main.append(make("h2", {}, tag.name), make("p", { class: "quiet" }, ...words(tag.description)));
    for (const { path, method, operation } of group) {
      const card = operationCard(reader, path, method, operation);
      cards.push(card);
      main.append(card);
    }
  }
  document.getElementById("filter").addEventListener("input", () => filter(cards));
  addEventListener("hashchange", openTarget);
  openTarget();
  document.documentElement.dataset.ready = "";
}

start().catch((error) => main.append(make("p", { class: "card" }, `The description could not be read: ${error.message}`)));

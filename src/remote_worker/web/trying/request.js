// One operation's form: its fields, the request that they make, and the same as a line for a shell.
import { h as make } from "../console/dom.js";
import { words } from "./words.js";

const FORM = "application/x-www-form-urlencoded";
const MULTIPART = "multipart/form-data";
const ACCEPT_SAYS = {
  "": "JSON",
  "image/*": "The picture's bytes",
  "application/problem+json": "JSON, failures as RFC 9457",
};

export class Form {
  constructor(reader, path, method, operation) {
    this.reader = reader;
    this.path = path;
    this.method = method.toUpperCase();
    this.name = operation.operationId;
    this.fields = (operation.parameters || []).map((parameter) => this.#field(parameter, parameter.in));
    this.bodies = Object.entries(operation.requestBody?.content || {}).map(([kind, { schema }]) => this.#body(kind, schema));
    this.accept = this.#accept(operation);
  }

  get element() {
    const parts = this.fields.map((field) => field.element);
    if (this.bodies.length > 1) parts.push(this.#choice());
    parts.push(...this.bodies.map((body) => body.element));
    if (this.accept) parts.push(this.#labelled("Accept", this.accept, "What comes back."));
    return make("div", { class: "fields" }, ...parts);
  }

  #body(kind, schema) {
    const told = this.reader.read(schema);
    if (kind === FORM || kind === MULTIPART) {
      const fields = Object.entries(told.properties).map(([name, value]) =>
        this.#field({ name, schema: value, required: (told.required || []).includes(name) }, "body", kind));
      return { kind, fields, element: make("fieldset", { class: "fields" }, make("legend", { class: "quiet" }, `As a form (${kind})`), ...fields.map((field) => field.element)) };
    }
    const area = make("textarea", { id: this.#id("body"), rows: "6", spellcheck: "false" });
    area.value = JSON.stringify(this.reader.example(schema), null, 2);
    return { kind, area, element: this.#labelled("body", area, `JSON: ${Object.keys(told.properties || {}).join(", ")}.`) };
  }

  #choice() {
    const select = make("select", { id: this.#id("kind") }, ...this.bodies.map((body, at) => make("option", { value: String(at) }, body.kind)), make("option", { value: "none" }, "no body"));
    const show = () => this.bodies.forEach((body, at) => { body.element.hidden = select.value !== String(at); });
    select.addEventListener("change", show);
    this.chosen = () => this.bodies[Number(select.value)];
    show();
    return this.#labelled("Body", select, "How it is sent.");
  }

  #accept(operation) {
    const kinds = Object.values(operation.responses).flatMap((answer) => Object.keys(this.reader.read(answer).content || {}));
    const offered = ["", ...(kinds.some((kind) => kind.startsWith("image/")) ? ["image/*"] : []), "application/problem+json"];
    if (this.method === "GET" && kinds.some((kind) => kind.startsWith("image/"))) offered[0] = "*/*";
    const says = (kind) => (kind === "*/*" ? "As it comes" : kind === "image/*" && offered[0] === "*/*" ? "The picture's bytes" : ACCEPT_SAYS[kind]);
    const all = offered[0] === "*/*" ? ["*/*", "application/json", "application/problem+json"] : offered;
    return make("select", { id: this.#id("accept") }, ...all.map((kind) => make("option", { value: kind }, kind === "application/json" ? "JSON" : says(kind))));
  }

  #field(parameter, where, kind = "") {
    const schema = parameter.schema;
    const told = this.reader.read(schema);
    const id = this.#id(`${where}-${kind.length}-${parameter.name}`);
    const about = parameter.description || told.description || "";
    let input;
    if (told.format === "binary") input = make("input", { id, type: "file" });
    else if (this.reader.isSwitch(schema)) input = make("input", { id, type: "checkbox" });
    else if (told.enum) input = make("select", { id }, ...(parameter.required ? [] : [make("option", { value: "" }, "(not sent)")]), ...told.enum.map((one) => make("option", {}, String(one))));
    else if (told.type === "integer") input = make("input", { id, type: "number", min: told.minimum, max: told.maximum, step: "1" });
    else input = make("input", { id, type: "text", spellcheck: "false", autocomplete: "off", pattern: where === "path" ? told.pattern?.replaceAll("-]", "\\-]") : undefined }); // Browsers read it with the v flag.
    input.required = Boolean(parameter.required);
    if (parameter.example !== undefined) input.value = parameter.example;
    const shown = told.format === "binary" ? dropping(input) : input;
    return { name: parameter.name, where, input, element: this.#labelled(parameter.name, shown, about, input, parameter.required) };
  }

  #labelled(name, shown, about, input = shown, needed = false) {
    const note = about ? make("p", { class: "quiet", id: `${input.id}-about` }, ...words(about)) : undefined;
    if (note) input.setAttribute("aria-describedby", note.id);
    const label = make("label", { for: input.id }, name, needed ? make("span", { class: "needed" }, " needed") : undefined);
    return make("div", { class: "field" }, label, shown, note);
  }

  #id(name) {
    return `${this.name}-${name}`;
  }

  // The first part of the path that is still empty: without it, it would be another operation's.
  get missing() {
    return this.fields.find(({ where, input }) => where === "path" && !input.value)?.input;
  }

  // What is to be sent: address, options of `fetch`, and arguments of curl.
  request(key) {
    const query = new URLSearchParams();
    const headers = {};
    let path = this.path;
    for (const { name, where, input } of this.fields) {
      const value = valueOf(input);
      if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%3A", ":"));
      else if (value === "") continue;
      else if (where === "query") query.append(name, value);
      else headers[name] = value;
    }
    const target = path + (query.size ? `?${query}` : "");
    if (this.accept?.value) headers.Accept = this.accept.value;
    if (key) headers.Authorization = key.includes(" ") ? key : `Bearer ${key}`;
    const curl = ["curl", ...(["GET", "POST"].includes(this.method) ? [] : ["-X", this.method])];
    const body = this.method === "POST" ? this.#content(headers, curl) : undefined;
    for (const [name, value] of Object.entries(headers)) {
      curl.push("-H", quoted(`${name}: ${name === "Authorization" ? value.replace(/\S+$/, "$KEY") : value}`, name === "Authorization"));
    }
    // The path is told from this page's, which may lie below a prefix.
    const base = new URL(".", location.href);
    const url = new URL(`.${target}`, base);
    return { url, options: { method: this.method, headers, body, cache: "no-store", redirect: "manual" }, curl: [...curl, quoted(url.href)].join(" ") };
  }

  #content(headers, curl) {
    const body = this.chosen ? this.chosen() : this.bodies[0];
    if (!body) {
      curl.push("-X", "POST");
      return undefined;
    }
    if (body.area) {
      headers["Content-Type"] = body.kind;
      curl.push("-d", quoted(body.area.value));
      return body.area.value;
    }
    const given = body.fields.flatMap(({ name, input }) => (input.type === "file" ? [...input.files].map((file) => [name, file]) : [[name, valueOf(input)]])).filter(([, value]) => value !== "");
    for (const [name, value] of given) curl.push(body.kind === MULTIPART ? "-F" : "--data-urlencode", quoted(`${name}=${value instanceof File ? `@${value.name}` : value}`));
    if (!given.length) curl.push("-X", "POST");
    if (body.kind === FORM) return new URLSearchParams(given);
    const form = new FormData();
    for (const [name, value] of given) form.append(name, value);
    return form;
  }
}

function valueOf(input) {
  if (input.type === "checkbox") return input.checked ? "1" : "";
  return input.value;
}

function quoted(text, expands = false) {
  return expands ? `"${text}"` : `'${text.replaceAll("'", "'\\''")}'`;
}

function dropping(input) {
  const area = make("div", { class: "drop" }, input);
  const over = (event, isOver) => {
    event.preventDefault();
    area.classList.toggle("over", isOver);
  };
  area.addEventListener("dragover", (event) => over(event, true));
  area.addEventListener("dragleave", (event) => over(event, false));
  area.addEventListener("drop", (event) => {
    over(event, false);
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  return area;
}

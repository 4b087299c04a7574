// The page as a whole: tabs, dropping and pasting, the key, the theme, and what the worker says of itself.

import { ask, hasKey, offer, onKeyWanted, useKey } from "./api.js";
import { byId } from "./dom.js";
import * as link from "./link.js";
import * as load from "./load.js";
import * as picture from "./picture.js";
import * as post from "./post.js";
import * as seal from "./seal.js";

const TABS = ["picture", "link", "post"];
const THEMES = { "": "as the system", light: "light", dark: "dark" };
const READY_MILLISECONDS = 15000;
/** What comes later than this may move what is there. */
const SETTLED_MILLISECONDS = 1000;

function open(name, isFocused = false) {
  for (const other of TABS) {
    const tab = byId(`tab-${other}`);
    const isOpen = other === name;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    byId(other).hidden = !isOpen;
    if (isOpen && isFocused) tab.focus();
  }
}

function startTabs() {
  for (const [index, name] of TABS.entries()) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => open(name));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1 + TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      open(TABS[to % TABS.length], true);
    });
  }
}

function startDropping() {
  const veil = byId("veil");
  let depth = 0;
  const isGiven = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");
  addEventListener("dragenter", (event) => {
    if (!isGiven(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    veil.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => {
    if (isGiven(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    depth = 0;
    veil.hidden = true;
    if (!isGiven(event)) return;
    event.preventDefault();
    given(event.dataTransfer);
  });
  addEventListener("paste", (event) => {
    // Text goes where the cursor is; a picture is for the table wherever that is.
    const isInField = event.target instanceof Element && event.target.closest("input, textarea");
    if (isInField && event.clipboardData.files.length === 0) return;
    event.preventDefault();
    given(event.clipboardData);
  });
}

function given(data) {
  if (data.files.length > 0) {
    open("picture");
    void picture.take(data.files[0], data.files.length - 1);
    return;
  }
  const text = (data.getData("text/uri-list").split("\n").find((line) => line && !line.startsWith("#")) ?? data.getData("text/plain")).trim();
  if (/^https?:\/\/\S+$/i.test(text)) {
    open("link");
    link.paste(text);
  } else if (text) {
    open("post");
    post.paste(text);
  }
}

function startTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const name = () => { button.setAttribute("aria-label", `Colours: ${THEMES[root.dataset.theme ?? ""]}`); };
  button.addEventListener("click", () => {
    const order = Object.keys(THEMES);
    const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % order.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // Then it is forgotten with the page.
    }
    name();
  });
  name();
}

function startKey() {
  const [section, button, field] = [byId("key"), byId("key-button"), byId("key-field")];
  const says = byId("key-says").textContent;
  const show = (isShown) => {
    section.hidden = !isShown;
    button.setAttribute("aria-expanded", String(isShown));
  };
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(field.value);
    field.value = "";
    show(false);
    byId("work").focus();
    void learn();
    load.again();
  });
  onKeyWanted(() => {
    button.hidden = false;
    byId("key-says").textContent = hasKey() ? "The one it got is not known there. Is it whole?" : says;
    if (!section.hidden) return;
    show(true);
    field.focus();
  });
  button.addEventListener("click", () => {
    show(section.hidden);
    if (!section.hidden) field.focus();
  });
}

/** What this worker is and does; asked again with another key. */
async function learn() {
  try {
    const { body } = await ask("capabilities");
    byId("version").textContent = `version ${body.version}`;
    picture.knows(body);
  } catch {
    // The page works without: the worker then refuses what is too large.
  }
}

async function ready() {
  const pill = byId("ready");
  let [told, words, kind] = [{}, "Ready and sealed", "good"];
  try {
    told = (await ask("readyz")).body;
  } catch (failure) {
    [told, words, kind] = [failure.more ?? {}, failure.status ? `Not ready: ${failure.more?.reason ?? failure.message}` : "Out of reach", "bad"];
  }
  if (pill.textContent !== words) pill.textContent = words;
  pill.className = `pill ${kind}`;
  const drawing = seal.drawn(told);
  if (drawing) {
    byId("seal-out").replaceChildren(drawing);
    byId("seal").hidden = false;
  }
}

startTabs();
startDropping();
startTheme();
startKey();
picture.start();
link.start();
post.start();
setInterval(() => { if (!document.hidden) void ready(); }, READY_MILLISECONDS);
const first = [
  learn(),
  ready(),
  load.start(() => void ready()),
  offer("openapi.json").then((found) => { byId("api").hidden = found === null; }, () => {}),
];
// What is asked for at the start appears at once, and so pushes nothing about.
void Promise.race([Promise.all(first), new Promise((resolve) => { setTimeout(resolve, SETTLED_MILLISECONDS); })])
  .then(() => document.documentElement.classList.remove("settling"));

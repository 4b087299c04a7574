// A picture and everything that the worker makes of it.

import { ask, Failure, hasKey, offer, posted } from "./api.js";
import { Addresses, byId, bytes, failureCard, h, milliseconds, s, stepsOf, timingBar } from "./dom.js";
import { removedCard } from "./metadata.js";
import { bits, blurhash, thumbhash } from "./placeholders.js";

const AT_ONCE = 2;
const PREVIEW_SIDE = 900;
const LARGEST_SIDE = 16384;
/** Shown as it is up to here, so that what moves keeps moving; anything larger is scaled down first. */
const MOST_PIXELS_SHOWN = 4e6;
const MOST_BYTES_SHOWN = 4 * 1048576;
const SHOWN_BY_BROWSERS = new Set(["jpeg", "png", "gif", "webp", "avif"]);

/** How it lies before it is stood upright, by its EXIF orientation. */
const STANDS = { 2: "mirrored", 3: "upside down", 4: "upside down and mirrored", 5: "on its side and mirrored", 6: "lies on its side", 7: "on its side and mirrored", 8: "lies on its side" };

const addresses = new Addresses();
let work = new AbortController();
let limits = null;
let current = null;
let offers = null;
let leftOut = 0;

/** What /capabilities says, once it is known. */
export function knows(capabilities) {
  limits = capabilities.limits;
  offers = null;
  byId("drop-limit").textContent = `up to ${bytes(limits.input_bytes)} and ${Math.round(limits.pixels / 1e6)} megapixels`;
}

export function start() {
  const file = byId("file");
  byId("choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length > 0) void take(file.files[0]);
    file.value = "";
  });
  byId("sample").addEventListener("click", () => void trySample());
  for (const id of ["fit-side", "fit-format", "fit-quality", "fit-animated"]) {
    byId(id).addEventListener("change", () => current?.refit());
  }
}

async function trySample() {
  const signal = clear();
  say("Fetching the sample …");
  try {
    const { body } = await ask("console/sample.jpg", { kind: "blob", signal });
    await take(new File([body], "sample.jpg", { type: "image/jpeg" }));
  } catch (failure) {
    if (!signal.aborted) refuse(failure, "There is no sample");
  }
}

const say = (text) => { byId("picture-says").textContent = text; };

/** Said at the end of whatever comes of it. */
const ending = () => (leftOut ? ` ${leftOut} more came with it and ${leftOut === 1 ? "was" : "were"} left out: here it is one at a time; “remote-worker run” takes folders.` : "");

/** An empty table, and the signal that ends what is put on it. */
function clear() {
  work.abort();
  work = new AbortController();
  addresses.clear();
  current = null;
  leftOut = 0;
  byId("picture-before").replaceChildren();
  byId("picture-cards").replaceChildren();
  byId("picture-out").hidden = true;
  byId("picture").classList.add("has-picture");
  return work.signal;
}

/** Has the worker take this file apart; `others` came with it. */
export async function take(file, others = 0) {
  const signal = clear();
  leftOut = others;
  if (limits && file.size > limits.input_bytes) {
    refuse(new Failure({
      message: `It has ${bytes(file.size)}, and this worker takes up to ${bytes(limits.input_bytes)}. Nothing was sent.`,
      code: "too_large",
    }), "This one is not taken");
    return;
  }
  say("Looking at it …");
  try {
    const info = await ask("images/info?metadata=1", { ...posted("file", file), signal });
    current = new Bench(file, info, signal);
    byId("picture-out").hidden = false;
    await current.run();
  } catch (failure) {
    if (signal.aborted) return;
    refuse(failure, "This one is not taken");
  }
}

function refuse(failure, title, ...before) {
  say(ending().trim());
  byId("picture-before").replaceChildren(...before, failureCard(failure, failure.code ? title : "It did not get through"));
  byId("picture-out").hidden = false;
  byId("picture-out").querySelector(".after").hidden = true;
}

/** Which of the younger paths this worker has for this key; asked until it is known. */
async function offered() {
  try {
    offers ??= { hasFacts: (await offer("images/facts")) !== null, presets: names((await offer("images/preset"))?.body.presets) };
  } catch {
    // Out of reach or busy: the next picture asks again.
  }
  return offers ?? { hasFacts: false, presets: [] };
}

const names = (presets) => (Array.isArray(presets) ? presets.map((preset) => preset.name ?? preset) : Object.keys(presets ?? {})).map(String);

/** One picture on the table. */
class Bench {
  #file;
  #info;
  #signal;
  #removed = null;
  #isChecked = false;
  #fitCard = null;
  #fitting = new AbortController();
  #failures = [];

  constructor(file, { body }, signal) {
    this.#file = file;
    this.#info = body;
    this.#signal = signal;
    byId("picture-out").querySelector(".after").hidden = false;
    byId("fit-options").hidden = false;
    byId("fit-animated-label").hidden = body.frames < 2;
  }

  async run() {
    const began = performance.now();
    const info = this.#info;
    this.#removed = removedCard(info, null);
    const original = this.#original();
    byId("picture-before").replaceChildren(original, this.#removed);
    const jobs = [];
    const cards = byId("picture-cards");
    const add = (title, act, kind) => {
      const card = emptyCard(title, kind);
      cards.append(card);
      jobs.push(() => this.#filled(card, title, act));
      return card;
    };
    if (info.format === "jpeg") add("Upright, metadata gone", () => this.#picture("images/prepare_jpeg"));
    else add("As a JPEG", () => this.#picture(`images/fit/${LARGEST_SIDE}?format=jpeg`));
    this.#fitCard = add("Made to fit", () => this.#picture(fitPath()));
    const { hasFacts, presets } = await offered();
    this.#signal.throwIfAborted();
    if (hasFacts) add("Cut to what draws the eye", () => this.#picture("images/fit/480x480?mode=cover&gravity=attention&format=webp"));
    for (const name of presets) add(`Preset “${name}”`, () => this.#preset(name), "wide");
    add("Avatars", () => this.#avatars(), "wide");
    if (hasFacts) add("Facts", () => this.#facts(), "wide");
    say("Making pictures …");
    let made = 0;
    const next = async () => {
      for (let job = jobs.shift(); job; job = jobs.shift()) if (await job()) made += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
    if (this.#signal.aborted) return;
    const [first, ...others] = this.#failures;
    if (made === 0 && first && others.every(({ code, detail }) => code === first.code && detail === first.detail)) {
      cards.replaceChildren();
      refuse(first, "Nothing can be made of it", original);
      return;
    }
    const failed = this.#failures.length > 0 ? `, ${this.#failures.length} failed,` : "";
    say(`${made} made${failed} in ${milliseconds(performance.now() - began)}, each by a process of its own that is gone already.${ending()}`);
  }

  /** Once more with what the fields say now. */
  async refit() {
    if (!this.#fitCard) return;
    this.#fitting.abort();
    this.#fitting = new AbortController();
    const { signal } = this.#fitting;
    const card = emptyCard("Made to fit");
    this.#fitCard.replaceWith(card);
    this.#fitCard = card;
    await this.#filled(card, "Made to fit", () => this.#picture(fitPath(), signal));
  }

  #original() {
    const info = this.#info;
    const frame = h("div", { class: "frame" });
    const card = h("article", { class: "card shot", "aria-label": "Original" }, frame,
      h("div", { class: "body" },
        h("div", { class: "title" }, h("h3", {}, "What came in")),
        h("p", { class: "facts" },
          [info.format.toUpperCase(), `${info.display_width} × ${info.display_height}`, bytes(this.#file.size),
            info.frames > 1 && `${info.frames} frames`, info.bit_depth > 8 && `${info.bit_depth} bits`,
            STANDS[info.orientation], info.has_alpha && "with transparency"]
            .filter(Boolean).map((text) => h("span", {}, text)))));
    void this.#preview(frame);
    return card;
  }

  async #preview(frame) {
    const info = this.#info;
    try {
      if (!SHOWN_BY_BROWSERS.has(info.format)) throw new TypeError("not a format of browsers");
      if (info.width * info.height * info.frames <= MOST_PIXELS_SHOWN && this.#file.size <= MOST_BYTES_SHOWN) {
        const image = h("img", { alt: "The original", src: addresses.of(new Blob([this.#file], { type: info.mime_type })) });
        await image.decode();
        frame.replaceChildren(image);
        return;
      }
      const side = info.display_width >= info.display_height ? "resizeWidth" : "resizeHeight";
      const small = await createImageBitmap(this.#file, { [side]: PREVIEW_SIDE, resizeQuality: "medium" });
      const surface = h("canvas", { width: small.width, height: small.height, role: "img", "aria-label": "The original, made smaller" });
      surface.getContext("bitmaprenderer").transferFromImageBitmap(small);
      frame.replaceChildren(surface);
    } catch {
      await this.#previewByWorker(frame);
    }
  }

  async #previewByWorker(frame) {
    try {
      const { body } = await ask(`images/fit/${PREVIEW_SIDE}?format=webp`, { ...posted("file", this.#file), kind: "blob", signal: this.#signal });
      frame.replaceChildren(h("img", { alt: "The original, as the worker shows it", src: addresses.of(body) }));
    } catch {
      frame.hidden = true; // Its own card says why.
    }
  }

  async #filled(card, title, act) {
    try {
      const filled = await act();
      if (this.#signal.aborted) return false;
      card.classList.remove("waiting");
      card.removeAttribute("aria-busy");
      filled(card);
      return true;
    } catch (failure) {
      if (this.#signal.aborted || failure.name === "AbortError") return false;
      if (failure.code === "only_presets") {
        // Sizes are not this caller's to pick: then there is no such card, and nothing to set for it.
        card.remove();
        byId("fit-options").hidden = true;
        return false;
      }
      this.#failures.push(failure);
      const failed = failureCard(failure, title);
      failed.removeAttribute("role"); // What became of all of them is said once, at the end.
      card.replaceWith(failed);
      if (card === this.#fitCard) this.#fitCard = failed;
      return false;
    }
  }

  async #picture(path, signal = this.#signal) {
    const answer = await ask(path, { ...posted("file", this.#file), kind: "blob", signal });
    const address = addresses.of(answer.body);
    const image = h("img", { alt: "", src: address });
    await image.decode();
    void this.#check(answer.body);
    const format = answer.body.type.replace("image/", "");
    return (card) => {
      image.alt = card.querySelector("h3").textContent;
      card.querySelector(".frame").replaceChildren(image);
      card.querySelector(".title").append(this.#share(answer.body.size));
      card.querySelector(".body").append(
        h("p", { class: "facts" }, [format.toUpperCase(), `${image.naturalWidth} × ${image.naturalHeight}`, bytes(answer.body.size), milliseconds(inWorker(answer))].map((text) => h("span", {}, text))),
        timingBar(answer),
        h("div", { class: "row spread" },
          h("details", {}, h("summary", {}, "From a shell"), h("pre", { tabindex: 0 }, shell(path, format)), h("p", { class: "quiet" }, `It took: ${stepsOf(answer)}`)),
          download(address, `picture.${format === "jpeg" ? "jpg" : format}`, card.querySelector("h3").textContent)));
    };
  }

  #share(size) {
    const change = Math.round((size / this.#file.size - 1) * 100);
    return h("span", { class: change > 0 ? "share more" : "share", title: "against the original" }, `${change > 0 ? "+" : change < 0 ? "−" : "±"}${Math.abs(change)} %`);
  }

  /** Ask of what came out what was asked of the original. */
  async #check(blob) {
    if (this.#isChecked) return;
    this.#isChecked = true;
    try {
      const { body } = await ask("images/info?metadata=1", { ...posted("file", blob), signal: this.#signal });
      const card = removedCard(this.#info, body);
      this.#removed.replaceWith(card);
      this.#removed = card;
    } catch {
      // The card stays as it is: it claims nothing of what is left.
    }
  }

  async #avatars() {
    const answer = await ask(`images/rescale_avatar${byId("fit-animated").checked ? "?animated=1" : ""}`, { ...posted("file", this.#file), signal: this.#signal });
    const made = Object.entries(answer.body)
      .filter(([name, value]) => /^avatar\d+$/.test(name) && value)
      .map(([name, value]) => ({ side: Number(name.slice(6)), blob: blobOf(value.body, "image/png") }))
      .sort((one, other) => one.side - other.side);
    return (card) => {
      const row = h("div", { class: "avatars" }, made.map(({ side, blob }) => {
        const address = addresses.of(blob);
        const shown = Math.min(side, 128);
        return h("figure", {},
          h("img", { src: address, width: shown, height: shown, alt: `Avatar of ${side} pixels` }),
          h("figcaption", {}, h("a", { href: address, download: `avatar${side}.png` }, unseen("Download the avatar of "), `${side}`, unseen(" pixels, "), h("br"), bytes(blob.size))));
      }));
      card.querySelector(".frame").remove();
      card.querySelector(".body").append(row, h("p", { class: "facts" }, ["PNG", `${made.length} sizes`, milliseconds(inWorker(answer))].map((text) => h("span", {}, text))), timingBar(answer));
    };
  }

  async #preset(name) {
    const answer = await ask(`images/preset/${encodeURIComponent(name)}`, { ...posted("file", this.#file), signal: this.#signal });
    const made = Object.entries(answer.body.outputs ?? {}).map(([output, value]) => ({ output, value, blob: blobOf(value.body, `image/${value.format}`) }));
    return (card) => {
      const row = h("div", { class: "avatars outputs" }, made.map(({ output, value, blob }) => {
        const address = addresses.of(blob);
        return h("figure", {},
          h("img", { src: address, alt: `${name}: ${output}`, width: value.width * Math.min(1, 220 / value.width), height: value.height * Math.min(1, 220 / value.width) }),
          h("figcaption", {}, h("a", { href: address, download: `${output}.${value.format}` }, `${output}, ${value.width} × ${value.height}`, h("br"), `${String(value.format).toUpperCase()}, ${bytes(blob.size)}`)));
      }));
      card.querySelector(".frame").remove();
      card.querySelector(".body").append(row, h("p", { class: "facts" }, [made.length === 1 ? "1 output" : `${made.length} outputs of one decode`, milliseconds(inWorker(answer))].map((text) => h("span", {}, text))), timingBar(answer));
    };
  }

  async #facts() {
    const answer = await ask("images/facts", { ...posted("file", this.#file), signal: this.#signal });
    const facts = answer.body.facts ?? answer.body;
    const pieces = [];
    const add = (title, drawn, words) => pieces.push(h("div", {}, h("h4", { class: "quiet" }, title), drawn, h("code", {}, words)));
    if (facts.blurhash) add("Blurhash", blurhash(facts.blurhash), facts.blurhash);
    if (facts.thumbhash) add("Thumbhash", thumbhash(facts.thumbhash), facts.thumbhash);
    if (facts.colors) add("Colours", swatches(facts.colors), facts.colors.join(" "));
    if (facts.phash) add("Perceptual hash", bits(facts.phash), facts.phash);
    return (card) => {
      card.querySelector(".frame").remove();
      card.querySelector(".body").append(h("div", { class: "facts-grid" }, pieces), timingBar(answer));
    };
  }
}

function swatches(colors) {
  return h("ul", { class: "swatches", "aria-label": "Dominant colours" }, colors.map((color) => {
    const swatch = h("li", { title: color });
    swatch.style.backgroundColor = color;
    return swatch;
  }));
}

function emptyCard(title, kind = "") {
  return h("article", { class: `card shot waiting ${kind}`, "aria-label": title, "aria-busy": "true" },
    h("div", { class: "frame" }),
    h("div", { class: "body" }, h("div", { class: "title" }, h("h3", {}, title))));
}

const unseen = (text) => h("span", { class: "unseen" }, text);

const inWorker = (answer) => answer.timing.find((step) => step.name === "total")?.duration ?? answer.elapsed;

function blobOf(base64, type) {
  return new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type });
}

function download(address, name, title) {
  return h("a", { class: "tool small", href: address, download: name, "aria-label": `Download: ${title}` },
    s("svg", { viewBox: "0 0 20 20", width: 16, height: 16, fill: "none", stroke: "currentColor", "stroke-width": 1.8, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" }, s("path", { d: "M10 3v9m-4-3.500 4 4 4-4M4 16.500h12" })),
    "Download");
}

function shell(path, format) {
  const key = hasKey() ? " \\\n  -H \"Authorization: Bearer $KEY\"" : "";
  return `curl -F file=@photo.jpg -H 'Accept: image/*'${key} \\\n  '${new URL(path, document.baseURI)}' \\\n  -o out.${format === "jpeg" ? "jpg" : format}`;
}

function fitPath() {
  const side = Math.max(1, Math.min(LARGEST_SIDE, Math.round(Number(byId("fit-side").value) || 1024)));
  const options = new URLSearchParams();
  const [format, quality] = [byId("fit-format").value, Number(byId("fit-quality").value)];
  if (format) options.set("format", format);
  if (quality >= 1 && quality <= 100) options.set("quality", String(Math.round(quality)));
  if (byId("fit-animated").checked) options.set("animated", "1");
  return `images/fit/${side}${options.size ? `?${options}` : ""}`;
}

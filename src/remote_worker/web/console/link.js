// A link: the card that a forum would show, and how the worker came to it.

import { ask } from "./api.js";
import { Addresses, byId, failureCard, h, milliseconds, part, tag } from "./dom.js";

const addresses = new Addresses();
const KINDS = ["", "second", "third", "fourth"];
let work = new AbortController();

export function start() {
  byId("link-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void preview();
  });
}

export function paste(url) {
  byId("link-field").value = url;
  void preview();
}

const say = (text) => { byId("link-says").textContent = text; };

async function preview() {
  const field = byId("link-field");
  // As people write them: example.org/story, localhost:5000.
  if (/^[^\s:/?#]+(?:\.[^\s:/?#]+(?:[:/?#]|$)|:\d+(?:[/?#]|$))/.test(field.value.trim())) field.value = `https://${field.value.trim()}`;
  const url = field.value.trim();
  if (!url) {
    field.focus();
    return;
  }
  work.abort();
  work = new AbortController();
  const { signal } = work;
  addresses.clear();
  const out = byId("link-out");
  out.replaceChildren();
  say("Going there …");
  const query = new URLSearchParams({ url, explain: "1" });
  if (byId("link-force").checked) query.set("force", "1");
  try {
    const answer = await ask(`links/preview?${query}`, { signal });
    say(`Done in ${milliseconds(answer.elapsed)}.`);
    out.append(card(answer.body, signal), way(answer.body.explain?.hops ?? [], answer.body));
  } catch (failure) {
    if (signal.aborted) return;
    say("");
    out.append(failureCard(failure, failure.code === "blocked_address" || failure.code === "blocked_name" ? "The door stays shut" : "No card for this one"));
    const hops = failure.more?.explain?.hops ?? [];
    if (hops.length > 0) out.append(way(hops));
  }
}

function card(told, signal) {
  const target = safe(told.final_url ?? told.url);
  const title = told.title ?? target;
  const site = h("p", { class: "site" }, h("span", {}, told.site_name ?? new URL(target).host));
  const made = h("article", { class: "card unfurl", "aria-label": "The card" }, h("div", { class: "body" },
    site,
    h("h2", { dir: "auto" }, h("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, title)),
    told.description && h("p", { class: "said", dir: "auto" }, told.description),
    h("p", { class: "tags" },
      [told.type, told.author, told.published_time?.slice(0, 10), told.lang].filter(Boolean).map((text) => tag(text)),
      told.embed && tag(`player: ${told.embed.provider}`, "good"),
      (told.flags ?? []).map((flag) => tag(String(flag).replaceAll("_", " "), "warm")))));
  const [picture] = told.images ?? [];
  if (picture) void show(picture.url, "fit=1000x700&format=webp", signal).then((image) => {
    image.alt = picture.alt ?? "";
    made.prepend(h("div", { class: "frame" }, image));
  }, () => {});
  const [icon] = told.icons ?? [];
  if (icon) void show(icon.url, "fit=64&format=png", signal).then((image) => site.prepend(image), () => {});
  return made;
}

/** A picture of a site, made anew by the worker: the browser itself asks nobody else. */
export async function show(url, options, signal, held = addresses) {
  const { body } = await ask(`links/image?url=${encodeURIComponent(url)}&${options}`, { kind: "blob", signal });
  const image = h("img", { alt: "", src: held.of(body) });
  await image.decode();
  return image;
}

function way(hops, told = null) {
  return h("section", { class: "card", "aria-label": "How it went" },
    h("div", { class: "row spread" }, h("h2", {}, "How it went"),
      told?.fetch && h("p", { class: "tags" }, tag(`cache: ${told.fetch.cache}`), tag(milliseconds(told.fetch.milliseconds ?? 0)))),
    hops.length === 0 && h("p", { class: "quiet" }, told?.flags?.includes("one_time_link")
      ? "It looks as if it worked only once, as the links of mails do, so it was left alone: following it may use it up. The box above has it followed all the same."
      : "Nothing was fetched for it this time."),
    h("ol", { class: "hops" }, hops.map(hop)));
}

function hop(told) {
  const verdicts = told.verdicts ?? [];
  const isBad = Boolean(told.code) || verdicts.some((verdict) => !verdict.allowed);
  const steps = Object.entries(told.milliseconds ?? {}).filter(([, took]) => took > 0);
  const whole = steps.reduce((sum, [, took]) => sum + took, 0);
  const said = steps.map(([name, took]) => `${name} ${milliseconds(took)}`).join(", ");
  return h("li", { class: isBad ? "hop bad" : "hop" },
    h("p", { class: "where" }, told.url),
    h("p", { class: "tags" },
      told.status && tag(String(told.status), told.status < 400 ? "good" : "bad"),
      told.code && tag(told.detail ? `${told.code}: ${told.detail}` : told.code, "bad"),
      verdicts.map((verdict) => tag(`${verdict.address} ${verdict.allowed ? "may be asked" : "is refused"}${verdict.rule ? `: ${verdict.rule}` : ""}`, verdict.allowed ? "good" : "bad"))),
    whole > 0 && h("div", { class: "bar", role: "img", "aria-label": said, title: said }, steps.map(([, took], index) => part(took / whole, KINDS[index % KINDS.length]))),
    whole > 0 && h("p", { class: "quiet number" }, said));
}

const safe = (url) => (/^https?:\/\//i.test(String(url)) ? String(url) : "about:blank");

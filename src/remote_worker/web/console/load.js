// What the worker does right now, asked of /stats each second while somebody looks.

import { ask } from "./api.js";
import { byId, h, milliseconds, part, s } from "./dom.js";

const EVERY_MILLISECONDS = 1000;
const AWAY_MILLISECONDS = 3000;
const REMEMBERED = 60;
const LANES = { pictures: "Pictures", texts: "Texts", fetches: "Fetches" };

const seen = [];
let timer = 0;
let drawing = null;
let isAway = false;
let changed = () => {};

/** Begins to look; `onChange` is called when the worker goes out of reach or comes back. */
export function start(onChange) {
  changed = onChange;
  document.addEventListener("visibilitychange", () => void again());
  return again();
}

export async function again() {
  clearTimeout(timer);
  if (!document.hidden) await look();
}

function away(isNow) {
  if (isNow === isAway) return;
  isAway = isNow;
  byId("load").classList.toggle("away", isNow);
  if (isNow) byId("load-uptime").textContent = "no answer: this is how it was";
  changed();
}

async function look() {
  try {
    const { body } = await ask("stats");
    show(body);
    away(false);
  } catch (failure) {
    away(!failure.status);
    if (failure.status) {
      // An older worker, or a key that may not look: there is nothing to come back for.
      byId("load").hidden = true;
      return;
    }
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(() => void look(), isAway ? AWAY_MILLISECONDS : EVERY_MILLISECONDS);
}

function show(stats) {
  const { queue = {}, rates = {}, latency_ms: latency = {}, totals = {}, jail = {} } = stats;
  seen.push({ middle: latency.p50 ?? 0, high: latency.p99 ?? 0 });
  if (seen.length > REMEMBERED) seen.shift();
  drawing ??= build();
  const failed = totals.by_status?.["5xx"] ?? 0;
  set("requests", perSecond(rates.requests));
  set("p50", latency.p50 ? milliseconds(latency.p50) : "–");
  set("p99", latency.p99 ? milliseconds(latency.p99) : "–");
  set("kills", String((jail.kills ?? 0) + (jail.crashes ?? 0)));
  byId("load-uptime").textContent = `${stats.stage ?? ""}, up ${duration(stats.uptime ?? 0)}, ${totals.requests ?? 0} requests, ${failed} failed here`;
  spark();
  for (const [name, lane] of Object.entries(drawing.lanes)) fill(lane, queue[name]);
  byId("load").hidden = false;
}

function set(name, text) {
  if (drawing.tiles[name].textContent !== text) drawing.tiles[name].textContent = text;
}

const perSecond = (rate) => (rate === undefined ? "–" : rate >= 10 ? String(Math.round(rate)) : rate.toFixed(1));

function build() {
  const tiles = {};
  const tile = (name, says) => {
    tiles[name] = h("strong", {}, "–");
    return h("div", { class: "tile" }, tiles[name], h("span", {}, says));
  };
  const lanes = {};
  const lane = (name) => {
    const bar = h("div", { class: "bar", role: "meter", "aria-label": `${LANES[name]} at work`, "aria-valuemin": 0 });
    const words = h("span", { class: "number" });
    const row = h("div", { class: "lane" }, h("span", {}, LANES[name]), bar, words);
    lanes[name] = { bar, words, row };
    return row;
  };
  const line = s("path");
  const high = s("path", { class: "high" });
  const area = s("path", { class: "area" });
  const curve = s("svg", { class: "spark", viewBox: "0 0 300 72", preserveAspectRatio: "none", role: "img", "aria-label": "How long answers took in the last minute" }, area, high, line);
  byId("load-out").replaceChildren(
    h("div", {}, h("div", { class: "tiles" }, tile("requests", "requests a second"), tile("p50", "half are faster"), tile("p99", "99 % are faster"), tile("kills", "decoders stopped")), curve),
    h("div", { class: "lanes" }, Object.keys(LANES).map(lane)));
  return { tiles, lanes, line, high, area };
}

function spark() {
  const most = Math.max(1, ...seen.map(({ high }) => high)) * 1.1;
  const at = (value, index) => `${(300 - (seen.length - 1 - index) * (300 / (REMEMBERED - 1))).toFixed(1)} ${(70 - (value / most) * 66).toFixed(1)}`;
  const path = (key) => seen.map((one, index) => `${index ? "L" : "M"}${at(one[key], index)}`).join("");
  const begin = (300 - (seen.length - 1) * (300 / (REMEMBERED - 1))).toFixed(1);
  drawing.line.setAttribute("d", path("middle"));
  drawing.high.setAttribute("d", path("high"));
  drawing.area.setAttribute("d", `${path("middle")}L300 72L${begin} 72Z`);
}

function fill({ bar, words, row }, queue) {
  row.hidden = !queue;
  if (!queue) return;
  const { running = 0, slots = 0, waiting = 0 } = queue;
  bar.replaceChildren(part(slots ? running / slots : 0));
  bar.setAttribute("aria-valuemax", String(slots));
  bar.setAttribute("aria-valuenow", String(Math.min(running, slots)));
  words.textContent = `${running} of ${slots}${waiting ? `, ${waiting} wait` : ""}`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// The seal: what each template says that its children are shut into.

import { h, s, tag } from "./dom.js";

const TITLES = { raster: "Pictures", svg: "Drawings", text: "Texts and pages" };

const LAYERS = {
  user_changed: (value) => ({ holds: value === true, says: value ? "a user that owns nothing" : "the same user as the worker" }),
  landlock_abi: (value, layers) => ({
    holds: value > 0,
    says: value > 0
      ? `no file is open to it${readable(layers)} (Landlock ${value})`
      : "no Landlock: files are not shut off",
  }),
  seccomp: (value) => ({ holds: value === true, says: value ? "only system calls that are on a list" : "every system call" }),
};

const ORDER = ["user_changed", "landlock_abi", "seccomp"];

function readable(layers) {
  const paths = (layers.readable ?? []).filter((path) => path !== ".");
  return paths.length > 0 ? ` but ${paths.join(", ")}` : "";
}

function layersOf(layers) {
  const others = Object.keys(layers).filter((name) => name !== "readable" && !ORDER.includes(name));
  return [...ORDER.filter((name) => name in layers), ...others].map((name) => {
    const value = layers[name];
    return LAYERS[name]?.(value, layers) ?? { holds: Boolean(value), says: `${name.replaceAll("_", " ")}: ${value}` };
  });
}

/** The drawing for what /readyz says; null where it says nothing. */
export function drawn(ready) {
  const templates = Object.entries(ready.templates ?? {});
  if (templates.length === 0) return null;
  return h("div", { class: "cells" }, templates.map(([name, told]) => cell(name, told)));
}

function cell(name, told) {
  const layers = layersOf(told.layers ?? {});
  const formats = Object.entries(told.formats ?? {});
  return h("div", { class: "cell" },
    rings(layers),
    h("div", {},
      h("h3", {}, TITLES[name] ?? name),
      h("ul", { class: "layers" }, layers.map((layer) => h("li", { class: layer.holds ? "" : "open" }, h("span", {}, layer.says)))),
      formats.length > 0 && h("p", { class: "tags formats" }, formats.map(([format, word]) => tag(word === "ok" ? format : `${format}: ${word}`, word === "ok" ? "good" : "")))));
}

function rings(layers) {
  const holding = layers.filter((layer) => layer.holds).length;
  const drawing = s("svg", { viewBox: "0 0 100 100", role: "img", "aria-label": `${holding} of ${layers.length} layers hold` });
  const gap = Math.min(13, 32 / Math.max(1, layers.length));
  layers.forEach((layer, index) => {
    const inset = 4 + index * gap;
    drawing.append(s("rect", { class: layer.holds ? "ring" : "ring open", x: inset, y: inset, width: 100 - 2 * inset, height: 100 - 2 * inset, rx: 26 - index * 6 }));
  });
  drawing.append(s("rect", { class: "core", x: 41, y: 41, width: 18, height: 18, rx: 5 }));
  return drawing;
}

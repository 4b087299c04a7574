// Words with `code` in them, and paragraphs or lists of them.
import { h as make } from "../console/dom.js";

export function words(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

export function prose(text) {
  return text.trim().split(/\n\n+/).map((block) => {
    if (!block.startsWith("* ")) return make("p", {}, ...words(block));
    const lines = block.replace(/\n {2}/g, " ").split("\n");
    return make("ul", {}, ...lines.map((line) => make("li", {}, ...words(line.slice(2)))));
  });
}

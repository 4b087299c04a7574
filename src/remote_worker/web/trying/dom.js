// Elements out of what they are made of. Text is text: nothing is read as HTML.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

// Words with `code` in them, and paragraphs or lists of them.
export function words(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

export function prose(text) {
  const blocks = [];
  for (const block of text.trim().split(/\n\n+/)) {
    if (block.startsWith("* ")) {
      const lines = block.replace(/\n {2}/g, " ").split("\n");
      blocks.push(make("ul", {}, ...lines.map((line) => make("li", {}, ...words(line.slice(2))))));
    } else {
      blocks.push(make("p", {}, ...words(block)));
    }
  }
  return blocks;
}

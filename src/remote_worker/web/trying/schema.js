// What the document says of parameters, bodies and answers, with its references followed.

export class Reader {
  constructor(document) {
    this.document = document;
  }

  // The thing itself, with what stands beside a reference to it.
  read(node) {
    if (!node || !node.$ref) return node;
    const found = node.$ref.slice(2).split("/").reduce((at, name) => at[name], this.document);
    const { $ref, ...beside } = node;
    const properties = { ...found.properties, ...beside.properties };
    return { ...this.read(found), ...beside, ...(Object.keys(properties).length ? { properties } : {}) };
  }

  isSwitch(schema) {
    return schema.$ref === "#/components/schemas/Switch" || (schema.anyOf || []).some((one) => this.isSwitch(one));
  }

  // In a few words: "one of a, b", "whole number, 1 to 100".
  kind(node) {
    const schema = this.read(node) || {};
    if (this.isSwitch(node)) return "switch";
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return `one of ${schema.enum.filter((one) => one !== null).join(", ")}${schema.enum.includes(null) ? " or null" : ""}`;
    if (schema.anyOf || schema.oneOf) return (schema.anyOf || schema.oneOf).map((one) => this.kind(one)).join(" or ");
    const types = [].concat(schema.type || "anything");
    return types.map((type) => this.#type(type, schema)).join(" or ");
  }

  #type(type, schema) {
    if (type === "array") return `list of ${this.kind(schema.items || {})}`;
    if (type === "integer" || type === "number") {
      const { minimum, maximum } = schema;
      const bounds = [minimum !== undefined ? `from ${minimum}` : "", maximum !== undefined ? `to ${maximum}` : ""];
      return [type === "integer" ? "whole number" : "number", ...bounds].filter(Boolean).join(" ");
    }
    if (type === "string") return schema.contentEncoding === "base64" ? "base64" : "text";
    return type === "boolean" ? "true or false" : type;
  }

  // Name, kind and meaning of each member, those within as a.b and a[].b.
  members(node, before = "", depth = 0) {
    const schema = this.read(node) || {};
    const inner = (schema.anyOf || schema.oneOf || []).flatMap((one) => this.members(one, before, depth));
    const needed = new Set(schema.required || []);
    const own = Object.entries(schema.properties || {}).flatMap(([name, value]) => {
      const told = this.read(value) || {};
      const path = before + name;
      const row = { name: path, kind: this.kind(value), about: told.description || "", optional: !needed.has(name) };
      if (depth > 3) return [row];
      const list = told.items ? this.members(told.items, `${path}[].`, depth + 1) : [];
      const map = typeof told.additionalProperties === "object" ? this.members(told.additionalProperties, `${path}.*.`, depth + 1) : [];
      return [row, ...this.members(told, `${path}.`, depth + 1), ...list, ...map];
    });
    return [...own, ...inner];
  }

  // A value to begin with.
  example(node) {
    const schema = this.read(node) || {};
    if (schema.examples) return schema.examples[0];
    if (schema.enum) return schema.enum[0];
    if (schema.anyOf) return this.example(schema.anyOf[0]);
    if (schema.type === "object") {
      const needed = Object.keys(schema.properties || {}).filter((name) => (schema.required || []).includes(name));
      const told = needed.length ? needed : Object.keys(schema.properties || {}).slice(0, 1);
      return Object.fromEntries(told.map((name) => [name, this.example(schema.properties[name])]));
    }
    return { array: [], boolean: false, integer: 0, number: 0, string: "" }[schema.type] ?? null;
  }
}

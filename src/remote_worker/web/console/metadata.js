// What a picture said besides its pixels, and what is left of it.

import { h, s, tag } from "./dom.js";

/** A card of what was there and what is left. `after` may still be unknown. */
export function removedCard(before, after) {
  const was = told(before);
  const card = h("section", { class: "card removed", "aria-label": "What was removed" });
  card.append(h("div", { class: "row spread" }, h("h3", {}, "What was removed"), was.count > 0 && tag(was.count === 1 ? "1 thing" : `${was.count} things`, "warm")));
  if (was.count === 0) {
    card.append(h("p", { class: "quiet" }, "There was nothing besides the picture itself."));
    return card;
  }
  if (was.gps) card.append(place(was.gps));
  if (was.fields.length > 0) {
    card.append(h("div", { class: "fields", tabindex: 0, role: "group", "aria-label": "EXIF fields of the original" },
      h("dl", {}, was.fields.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))));
  }
  if (was.others.length > 0) card.append(h("p", { class: "tags" }, was.others.map((name) => tag(name, "bad"))));
  if (after) card.append(left(told(after)));
  return card;
}

function left(now) {
  const names = [...(now.gps ? ["place"] : []), ...now.others, ...(now.fields.length ? [`${now.fields.length} fields`] : [])];
  const isClean = names.length === 0;
  return h("p", { class: isClean ? "left-nothing" : "left-nothing left-something" },
    s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: isClean ? "m5 12.5 4.500 4.500 9.500-10" : "M12 5v9m0 4v1" })),
    h("span", {}, isClean ? "Nothing left in what comes out" : `Kept in what comes out: ${names.join(", ")}`));
}

/** The same of a worker that tells everything and of one that only tells that there was something. */
function told(info) {
  const all = info.metadata;
  if (!all) {
    const others = [info.has_exif && "EXIF", info.has_gps && "place", info.has_icc_profile && "colour profile"].filter(Boolean);
    return { fields: [], gps: null, others, count: others.length };
  }
  const fields = Object.entries(all.exif ?? {}).map(([name, value]) => [name, String(value)]);
  const others = [all.xmp && "XMP", all.iptc && "IPTC", all.comment && "comment", all.icc && `colour profile: ${all.icc}`].filter(Boolean);
  return { fields, gps: all.gps ?? null, others, count: fields.length + others.length + (all.gps ? 1 : 0) };
}

function place({ latitude, longitude, altitude }) {
  const words = `${degrees(latitude, "N", "S")}  ${degrees(longitude, "E", "W")}`;
  return h("div", { class: "place" },
    globe(latitude, longitude),
    h("div", {},
      h("span", { class: "quiet" }, "Where it was taken"),
      h("strong", {}, words),
      typeof altitude === "number" && h("span", { class: "quiet" }, `${Math.round(altitude)} m above the sea`)));
}

const degrees = (angle, positive, negative) => `${Math.abs(angle).toFixed(4)}° ${angle < 0 ? negative : positive}`;

/** A globe without a map: its net, the equator and the meridian of Greenwich, and the point. */
function globe(latitude, longitude) {
  const radius = 56;
  const rad = Math.PI / 180;
  // Turned a little away from the point, so that one sees where on the ball it lies.
  const tilt = Math.max(-60, Math.min(60, latitude * 0.55)) * rad;
  const turned = (longitude - 22) * rad;
  const project = (lat, lon) => {
    const [phi, lambda] = [lat * rad, lon * rad - turned];
    const depth = Math.sin(tilt) * Math.sin(phi) + Math.cos(tilt) * Math.cos(phi) * Math.cos(lambda);
    const x = 60 + radius * Math.cos(phi) * Math.sin(lambda);
    const y = 60 - radius * (Math.cos(tilt) * Math.sin(phi) - Math.sin(tilt) * Math.cos(phi) * Math.cos(lambda));
    return depth < 0 ? null : [x.toFixed(1), y.toFixed(1)];
  };
  const line = (points, kind = "") => {
    let path = "";
    let isDrawing = false;
    for (const point of points) {
      if (point) path += `${isDrawing ? "L" : "M"}${point[0]} ${point[1]}`;
      isDrawing = point !== null;
    }
    return s("path", { class: `globe-line ${kind}`, d: path });
  };
  const range = (from, to, step) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step);
  const drawing = s("svg", { viewBox: "0 0 120 120", role: "img", "aria-label": "The place on a globe" }, s("circle", { class: "globe-sea", cx: 60, cy: 60, r: radius }));
  for (const lat of range(-75, 75, 15)) drawing.append(line(range(-180, 180, 4).map((lon) => project(lat, lon)), lat === 0 ? "globe-zero" : ""));
  for (const lon of range(-180, 165, 15)) drawing.append(line(range(-90, 90, 4).map((lat) => project(lat, lon)), lon === 0 ? "globe-zero" : ""));
  const [x, y] = project(latitude, longitude) ?? [60, 60];
  drawing.append(s("circle", { class: "globe-ring", cx: x, cy: y, r: 9 }), s("circle", { class: "globe-dot", cx: x, cy: y, r: 4 }));
  return drawing;
}

// Draws what a blurhash, a thumbhash and a perceptual hash stand for.

import { h } from "./dom.js";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";

function canvas(width, height, paint, name, kind = "") {
  const surface = h("canvas", { width, height, role: "img", "aria-label": name, class: kind });
  const context = surface.getContext("2d");
  const pixels = context.createImageData(width, height);
  paint(pixels.data);
  context.putImageData(pixels, 0, 0);
  return surface;
}

const toLinear = (value) => (value <= 10.31475 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const toScreen = (value) => {
  const bounded = Math.max(0, Math.min(1, value));
  return Math.round(255 * (bounded <= 0.0031308 ? bounded * 12.92 : 1.055 * bounded ** (1 / 2.4) - 0.055));
};

/** After the algorithm of blurha.sh. */
export function blurhash(text) {
  const number = (from, to) => [...text.slice(from, to)].reduce((sum, digit) => sum * 83 + DIGITS.indexOf(digit), 0);
  const across = (number(0, 1) % 9) + 1;
  const down = Math.floor(number(0, 1) / 9) + 1;
  const most = (number(1, 2) + 1) / 166;
  const mean = number(2, 6);
  const signed = (value) => Math.sign(value - 9) * ((value - 9) / 9) ** 2 * most;
  const colours = [[mean >> 16, (mean >> 8) & 255, mean & 255].map(toLinear)];
  for (let index = 1; index < across * down; index += 1) {
    const value = number(4 + index * 2, 6 + index * 2);
    colours.push([Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19].map(signed));
  }
  const [width, height] = [48, 32];
  return canvas(width, height, (data) => {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const sum = [0, 0, 0];
        for (let j = 0; j < down; j += 1) {
          for (let i = 0; i < across; i += 1) {
            const basis = Math.cos((Math.PI * x * i) / width) * Math.cos((Math.PI * y * j) / height);
            colours[i + j * across].forEach((value, channel) => { sum[channel] += value * basis; });
          }
        }
        data.set([...sum.map(toScreen), 255], 4 * (x + y * width));
      }
    }
  }, "Placeholder made of the blurhash");
}

/** After the algorithm of Evan Wallace's thumbhash. */
export function thumbhash(base64) {
  const hash = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const tail = hash[3] | (hash[4] << 8);
  const hasAlpha = head >> 23 !== 0;
  const isLandscape = tail >> 15 !== 0;
  const few = hasAlpha ? 5 : 7;
  const across = Math.max(3, isLandscape ? few : tail & 7);
  const down = Math.max(3, isLandscape ? tail & 7 : few);
  const ratio = (isLandscape ? few : tail & 7) / (isLandscape ? tail & 7 : few);
  let at = hasAlpha ? 12 : 10;
  const channel = (nx, ny, scale) => {
    const factors = [];
    for (let cy = 0; cy < ny; cy += 1) {
      for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        const nibble = (hash[at >> 1] >> ((at & 1) << 2)) & 15;
        factors.push((nibble / 7.5 - 1) * scale);
        at += 1;
      }
    }
    return factors;
  };
  const means = { l: (head & 63) / 63, p: ((head >> 6) & 63) / 31.5 - 1, q: ((head >> 12) & 63) / 31.5 - 1, a: hasAlpha ? (hash[5] & 15) / 15 : 1 };
  const lights = channel(across, down, ((head >> 18) & 31) / 31);
  const ps = channel(3, 3, (((tail >> 3) & 63) / 63) * 1.25);
  const qs = channel(3, 3, (((tail >> 9) & 63) / 63) * 1.25);
  const alphas = hasAlpha ? channel(5, 5, (hash[5] >> 4) / 15) : [];
  const width = Math.max(1, Math.round(ratio > 1 ? 32 : 32 * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? 32 / ratio : 32));
  const at2 = (factors, nx, ny, x, y) => {
    let [sum, index] = [0, 0];
    for (let cy = 0; cy < ny; cy += 1) {
      for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx += 1) {
        sum += factors[index] * 2 * Math.cos((Math.PI / width) * (x + 0.5) * cx) * Math.cos((Math.PI / height) * (y + 0.5) * cy);
        index += 1;
      }
    }
    return sum;
  };
  return canvas(width, height, (data) => {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const l = means.l + at2(lights, across, down, x, y);
        const p = means.p + at2(ps, 3, 3, x, y);
        const q = means.q + at2(qs, 3, 3, x, y);
        const a = hasAlpha ? means.a + at2(alphas, 5, 5, x, y) : 1;
        const blue = l - (2 / 3) * p;
        const red = (3 * l - blue + q) / 2;
        data.set([red, red - q, blue, a].map((value) => Math.max(0, Math.min(255, Math.round(255 * value)))), 4 * (x + y * width));
      }
    }
  }, "Placeholder made of the thumbhash");
}

/** The 64 bits as squares. */
export function bits(hex) {
  const all = [...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => (Number.parseInt(digit, 16) & bit ? 1 : 0)));
  return canvas(8, 8, (data) => {
    all.slice(0, 64).forEach((bit, index) => data.set(bit ? [12, 100, 85, 255] : [190, 214, 206, 255], index * 4));
  }, "The bits of the perceptual hash", "bits");
}

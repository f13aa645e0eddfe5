// Makes a small picture of a screenshot: at most 256 colours, one byte each. PNG (RFC 2083), as far as Chromium writes it.
import { crc32, deflateSync, inflateSync } from "node:zlib";

/** A screenshot (8 bits, RGB or RGBA, not interlaced) with a palette. */
export function shrink(png) {
  const { width, height, channels, pixels } = decode(png);
  const { palette, indices } = quantize(pixels, channels);
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y += 1) {
    indices.copy(rows, y * (width + 1) + 1, y * width, (y + 1) * width);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Bit depth 8, colour type 3: palette.
  header.set([8, 3, 0, 0, 0], 8);
  return Buffer.concat([SIGNATURE, chunk("IHDR", header), chunk("PLTE", palette), chunk("IDAT", deflateSync(rows, { level: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

function decode(png) {
  const data = [];
  let width = 0;
  let height = 0;
  let channels = 0;
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const kind = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      channels = { 2: 3, 6: 4 }[body[9]] ?? 0;
      if (body[8] !== 8 || channels === 0 || body[12] !== 0) throw new Error("this screenshot has a form that is not read here");
    } else if (kind === "IDAT") {
      data.push(body);
    }
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(data));
  const stride = width * channels;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x += 1) {
      const left = x >= channels ? pixels[y * stride + x - channels] : 0;
      const up = y > 0 ? pixels[(y - 1) * stride + x] : 0;
      const corner = x >= channels && y > 0 ? pixels[(y - 1) * stride + x - channels] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      pixels[y * stride + x] = (raw[y * (stride + 1) + 1 + x] + guess) & 255;
    }
  }
  return { width, height, channels, pixels };
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** At most 256 colours; every other one becomes its nearest. */
function quantize(pixels, channels) {
  const counts = new Map();
  for (let at = 0; at < pixels.length; at += channels) {
    const colour = (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const kept = choose(counts);
  const nearest = new Map(kept.map((colour, at) => [colour, at]));
  const indices = Buffer.alloc(pixels.length / channels);
  for (let at = 0; at < indices.length; at += 1) {
    const [r, g, b] = [pixels[at * channels], pixels[at * channels + 1], pixels[at * channels + 2]];
    const colour = (r << 16) | (g << 8) | b;
    let index = nearest.get(colour);
    if (index === undefined) {
      let best = Infinity;
      for (const [k, other] of kept.entries()) {
        const far = distance(colour, other);
        if (far < best) [best, index] = [far, k];
      }
      nearest.set(colour, index);
    }
    indices[at] = index;
  }
  return { palette: Buffer.from(kept.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255])), indices };
}

/** The most frequent colours, and then those that are like none of them: a small mark keeps its colour. */
function choose(counts) {
  const frequent = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const kept = frequent.slice(0, 128).map(([colour]) => colour);
  for (const limit of [24, 12, 0]) {
    for (const [colour] of frequent) {
      if (kept.length === 256) return kept;
      if (kept.every((other) => distance(colour, other) > limit ** 2)) kept.push(colour);
    }
  }
  return kept;
}

/** Squared, in steps of a channel. */
function distance(one, other) {
  return ((one >> 16) - (other >> 16)) ** 2 + (((one >> 8) & 255) - ((other >> 8) & 255)) ** 2 + ((one & 255) - (other & 255)) ** 2;
}

function chunk(kind, body) {
  const name = Buffer.from(kind, "latin1");
  const out = Buffer.alloc(body.length + 12);
  out.writeUInt32BE(body.length, 0);
  name.copy(out, 4);
  body.copy(out, 8);
  out.writeUInt32BE(crc32(Buffer.concat([name, body])), body.length + 8);
  return out;
}

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

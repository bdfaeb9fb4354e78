// From the bytes of a map to masks and boxes: the same numbers as hclnet.report.maps, hclnet.boxes and hclnet.metrics.
"use strict";

const Maps = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const floats = (text) => new Float32Array(bytes(text).buffer);

  const doubles = (text) => new Float64Array(bytes(text).buffer);

  const shares = (text) => Float64Array.from(new Uint16Array(bytes(text).buffer), (q) => q / 65535);

  // Rows of `values` (height x width) interpolated along the first axis; the sum is in the order of the taps.
  function along(values, width, taps) {
    const k = taps.width, side = taps.index.length / k, out = new Float64Array(side * width);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < width; x++) {
        let total = taps.weight[y * k] * values[taps.index[y * k] * width + x];
        for (let j = 1; j < k; j++) total += taps.weight[y * k + j] * values[taps.index[y * k + j] * width + x];
        out[y * width + x] = total;
      }
    }
    return out;
  }

  function transposed(values, height, width) {
    const out = new Float64Array(values.length);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) out[x * height + y] = values[y * width + x];
    return out;
  }

  function upsampled(grid, [height, width], rows, columns) {
    const tall = along(grid, width, rows), side = rows.index.length / rows.width;
    return transposed(along(transposed(tall, side, width), side, columns), columns.index.length / columns.width, side);
  }

  function ends(values) {
    let low = Infinity, high = -Infinity;
    for (const v of values) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    return [low, high];
  }

  // 0..1, or null for a constant map.
  function minmax(values) {
    const [low, high] = ends(values), span = high - low;
    if (span <= 1e-6 * Math.max(Math.abs(low), Math.abs(high))) return null;
    return values.map((v) => (v - low) / span);
  }

  // The levels that were boxed: those of the upsampled grid, corrected.
  function levels(grid, shape, rows, columns, corrections, span) {
    let values = minmax(upsampled(grid, shape, rows, columns));
    if (values && span.length) {
      const [low, high] = span;
      values = values.map((v) => Math.min(Math.max((v - low) / (high - low), 0), 1));
    }
    const count = (rows.index.length / rows.width) * (columns.index.length / columns.width);
    const out = new Uint8Array(count);
    if (values) for (let i = 0; i < count; i++) out[i] = Math.floor(values[i] * 255);
    let place = 0, i = 0;
    const number = () => {
      let value = 0, shift = 1;
      while (corrections[i] > 127) {
        value += (corrections[i++] - 128) * shift;
        shift *= 128;
      }
      return value + corrections[i++] * shift;
    };
    while (i < corrections.length) {
      place += number();
      const zigzag = number();
      out[place] += zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
    }
    return out;
  }

  // Box of the largest 8-connected component of `levels > t`, half-open; of equally large ones the one whose first pixel
  // comes first in raster order; null for an empty mask. Runs of each row are joined to those they touch in the row above.
  function largestBox(levels, side, t) {
    const parent = [], first = [], last = [], row = [];
    const root = (r) => {
      while (parent[r] !== r) r = parent[r] = parent[parent[r]];
      return r;
    };
    let above = 0;
    for (let y = 0; y < side; y++) {
      const begin = parent.length;
      let touching = above;
      for (let x = 0, at = y * side; x < side; x++) {
        if (levels[at + x] <= t) continue;
        const start = x;
        while (x < side && levels[at + x] > t) x++;
        const run = parent.length;
        parent.push(run);
        first.push(start);
        last.push(x);
        row.push(y);
        while (touching < begin && last[touching] < start) touching++;
        for (let j = touching; j < begin && first[j] <= x; j++) {
          const a = root(j), b = root(run);
          if (a < b) parent[b] = a;
          else parent[a] = b;
        }
      }
      above = begin;
    }
    const area = new Map();
    for (let r = 0; r < parent.length; r++) {
      const of = root(r);
      const known = area.get(of) ?? { pixels: 0, box: [side, side, 0, 0] };
      known.pixels += last[r] - first[r];
      known.box[0] = Math.min(known.box[0], first[r]);
      known.box[1] = Math.min(known.box[1], row[r]);
      known.box[2] = Math.max(known.box[2], last[r]);
      known.box[3] = Math.max(known.box[3], row[r] + 1);
      area.set(of, known);
    }
    let best = null;
    for (const one of area.values()) if (!best || one.pixels > best.pixels) best = one;
    return best && best.box;
  }

  const surface = ([x0, y0, x1, y1]) => Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);

  // IoU, and the shares of hclnet.metrics.failures, with the ground-truth box that `box` overlaps best.
  function overlap(box, truths) {
    let best = { iou: 0, inside: 0, covered: 0 };
    for (const true_ of box ? truths : []) {
      const common = surface([
        Math.max(box[0], true_[0]), Math.max(box[1], true_[1]), Math.min(box[2], true_[2]), Math.min(box[3], true_[3]),
      ]);
      const iou = common > 0 ? common / (surface(box) + surface(true_) - common) : 0;
      if (iou > best.iou) best = { iou, inside: common / surface(box), covered: common / surface(true_) };
    }
    return best;
  }

  function kind({ iou, inside, covered }, threshold) {
    if (iou >= threshold) return "right";
    const most = (2 * threshold) / (1 + threshold), larger = Math.max(inside, covered);
    if (larger < most / 2) return "background";
    if (larger < most) return "shifted";
    return inside > covered ? "part only" : "too large";
  }

  // Boxes in pixels of the image, four numbers each, on a map of another size.
  function onMap(flat, [width, height], side) {
    const boxes = [];
    for (let i = 0; i < flat.length; i += 4)
      boxes.push([
        (flat[i] * side) / width, (flat[i + 1] * side) / height, (flat[i + 2] * side) / width, (flat[i + 3] * side) / height,
      ]);
    return boxes;
  }

  return { bytes, floats, doubles, shares, upsampled, minmax, levels, largestBox, overlap, kind, onMap };
})();

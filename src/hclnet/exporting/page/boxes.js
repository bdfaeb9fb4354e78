// Maps -> heatmap -> box: hclnet_runtime.heatmaps, boxes.levels, boxes.consensus and boxes.auto once more, for the
// rules that the page knows: auto with a foreground score learned from outlines, and fixed:T.

const POWERS = [0, 0.5, 1], THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], ODDS = 3, LEAST = 1e-6, OVERLAP = 0.5;
const MAJORITY = 0.5, UNSURE = 0.5;

// A map h x w at side x side, bilinear; pixels outside are those of the edge.
export function enlarged(map, height, width, side) {
  if (height === side && width === side) return Float32Array.from(map);
  const places = (from) => Array.from({ length: side }, (_, k) => {
    const at = Math.min(Math.max(((k + 0.5) * from) / side - 0.5, 0), from - 1), low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  });
  const found = new Float32Array(side * side), columns = places(width);
  places(height).forEach(([top, bottom, down], y) => {
    columns.forEach(([left, right, over], x) => {
      const above = map[top * width + left] * (1 - over) + map[top * width + right] * over;
      const below = map[bottom * width + left] * (1 - over) + map[bottom * width + right] * over;
      found[y * side + x] = above * (1 - down) + below * down;
    });
  });
  return found;
}

const extreme = (values, better) => values.reduce((a, b) => (better(b, a) ? b : a));
export const largest = (values) => extreme(values, (a, b) => a > b);
export const least = (values) => extreme(values, (a, b) => a < b);

// 0..1: minmax or max.
export function heatmap(map, height, width, side, normalization) {
  const values = enlarged(map, height, width, side), high = largest(values);
  const low = normalization === 'max' ? 0 : least(values);
  if (!(high > low)) return new Float32Array(side * side);
  return values.map((value) => Math.max(0, (value - low) / (high - low)));
}

// The 8-connected components of some pixels, in raster order: boxes x0 y0 x1 y1, half-open, areas, sums of weights.
export function components(inside, weight, side) {
  const label = new Int32Array(side * side), stack = new Int32Array(side * side), found = [];
  for (let start = 0; start < inside.length; start++) {
    if (!inside[start] || label[start]) continue;
    const one = { x0: side, y0: side, x1: 0, y1: 0, area: 0, sum: 0 };
    found.push(one);
    let open = 0;
    stack[open++] = start;
    label[start] = found.length;
    while (open) {
      const at = stack[--open], x = at % side, y = (at - x) / side;
      one.area++;
      one.sum += weight ? weight[at] : 1;
      if (x < one.x0) one.x0 = x;
      if (y < one.y0) one.y0 = y;
      if (x >= one.x1) one.x1 = x + 1;
      if (y >= one.y1) one.y1 = y + 1;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, side - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, side - 1); u++) {
          const next = v * side + u;
          if (inside[next] && !label[next]) {
            label[next] = found.length;
            stack[open++] = next;
          }
        }
      }
    }
  }
  return found;
}

const most = (found, key) => found.reduce((a, b) => (b[key] > a[key] ? b : a));
const corners = ({ x0, y0, x1, y1 }) => [x0, y0, x1, y1];

export function iou(a, b) {
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), high = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (wide <= 0 || high <= 0) return 0;
  const area = (of) => (of[2] - of[0]) * (of[3] - of[1]);
  return (wide * high) / (area(a) + area(b) - wide * high);
}

const exponential = (logarithms) => {
  const high = largest(logarithms);
  return logarithms.map((value) => Math.exp(value - high));
};

// In whole pixels, and never empty.
function whole(box) {
  const [left, top] = [Math.floor(box[0] + 0.5), Math.floor(box[1] + 0.5)];
  return [left, top, Math.max(Math.floor(box[2] + 0.5), left + 1), Math.max(Math.floor(box[3] + 0.5), top + 1)];
}

const mean = (boxes, weights, total) =>
  [0, 1, 2, 3].map((k) => boxes.reduce((sum, box, of) => sum + weights[of] * box[k], 0) / total);

// The box that most levels above the median agree on.
function byMap(levels, side) {
  const background = levels.slice().sort()[Math.floor(UNSURE * (levels.length - 1))];
  const all = [];
  for (let level = 0; level < 255; level++) {
    const found = components(Uint8Array.from(levels, (value) => (value > level ? 1 : 0)), null, side);
    if (found.length) all.push({ level, box: corners(most(found, 'area')) });
  }
  const above = all.filter(({ level }) => level >= background);
  const boxes = (above.length ? above : all).map(({ box }) => box);
  const weights = boxes.map((box) => {
    const share = ((box[2] - box[0]) * (box[3] - box[1])) / levels.length;
    return Math.max(share * (1 - share), 1e-9);
  });
  const alike = (box) => boxes.map((other, k) => (iou(box, other) >= OVERLAP ? weights[k] : 0));
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const chosen = boxes.map(alike).reduce((a, b) => (sum(b) > sum(a) ? b : a));
  return whole(mean(boxes, chosen, sum(chosen)));
}

// The box that most cuts of map and foreground score agree on; null if the map is zero. Where less than half of them
// do, it is the map's.
function consensus(levels, foreground, first, side) {
  if (!largest(levels)) return null;
  const likely = foreground.map((score) => {
    const odds = -ODDS * score;
    return -(odds > 0 ? odds + Math.log1p(Math.exp(-odds)) : Math.log1p(Math.exp(odds)));
  });
  const boxes = [], all = [];
  for (const of of [levels, first]) {
    const high = of ? largest(of) : 0;
    if (!high) continue;
    const heat = Float32Array.from(of, (value) => Math.log(Math.max(value / high, LEAST)));
    const weight = exponential(heat.map((value, k) => 2 * (value + likely[k])));
    for (const power of POWERS) {
      const together = exponential(heat.map((value, k) => power * value + likely[k]));
      for (const threshold of THRESHOLDS) {
        const inside = Uint8Array.from(together, (value) => (value > threshold ? 1 : 0));
        const found = components(inside, weight, side);
        boxes.push(corners(most(found, 'sum')));
        all.push(found.map(corners));
      }
    }
  }
  const votes = boxes.map((box) => boxes.filter((other) => iou(box, other) >= OVERLAP));
  const voters = votes.reduce((a, b) => (b.length > a.length ? b : a));
  const box = mean(voters, voters.map(() => 1), voters.length);
  const agree = all.filter((found) => found.some((other) => iou(box, other) >= OVERLAP)).length / all.length;
  return agree < MAJORITY ? byMap(levels, side) : whole(box);
}

// The box of a class in pixels of the heatmap, or null. `of` has the outputs of one image and class, each with its
// data and its sizes; `settings` are those of maps and boxes.
export function boxOf(of, settings) {
  const side = settings.map_size;
  const heat = heatmap(of.maps.data, ...of.maps.dims.slice(-2), side, settings.cam_normalization);
  const levels = Uint8Array.from(heat, (value) => Math.floor(255 * value));
  if (settings.box === 'auto') {
    const [count, height, width] = of.branches.dims.slice(-3);
    const one = of.branches.data.subarray(0, height * width);
    const first = count > 1 ? enlarged(one, height, width, side) : null;
    const foreground = enlarged(of.foreground.data, ...of.foreground.dims.slice(-2), side);
    return { heat, box: consensus(levels, foreground, first, side) };
  }
  const share = Number(settings.box.split(':')[1]);
  const level = Math.min(even(255 * share), 254);
  const found = components(Uint8Array.from(levels, (value) => (value > level ? 1 : 0)), null, side);
  return { heat, box: found.length ? corners(most(found, 'area')) : null };
}

// Halves are rounded to even numbers, as Python does.
function even(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

// Boxes as numbers: x0, y0, x1, y1 in pixels of the image.

const LEAST = 1; // pixels of a side

const within = (v, low, high) => Math.min(Math.max(v, low), high);

// The box moved, as far as the image goes.
export function moved([x0, y0, x1, y1], dx, dy, [width, height]) {
  dx = within(dx, -x0, width - x1);
  dy = within(dy, -y0, height - y1);
  return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
}

// The box with some of its sides moved: `side` has of "n", "s", "w", "e" those that move.
export function resized([x0, y0, x1, y1], side, dx, dy, [width, height]) {
  if (side.includes("w")) x0 = within(x0 + dx, 0, x1 - LEAST);
  if (side.includes("e")) x1 = within(x1 + dx, x0 + LEAST, width);
  if (side.includes("n")) y0 = within(y0 + dy, 0, y1 - LEAST);
  if (side.includes("s")) y1 = within(y1 + dy, y0 + LEAST, height);
  return [x0, y0, x1, y1];
}

// The box between two corners, as they come.
export function between([ax, ay], [bx, by], [width, height]) {
  const [left, right] = [within(Math.min(ax, bx), 0, width), within(Math.max(ax, bx), 0, width)];
  const [top, bottom] = [within(Math.min(ay, by), 0, height), within(Math.max(ay, by), 0, height)];
  return [left, top, right, bottom];
}

export const center = ([width, height]) => [0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height];

const surface = ([x0, y0, x1, y1]) => Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);

export function iou(a, b) {
  const common = surface([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return common > 0 ? common / (surface(a) + surface(b) - common) : 0;
}

// A picture -> what the network sees of it: the whole picture as a square, resized as Pillow does with BILINEAR.

// For each place of the resized line: where its window begins, and the weights of the pixels in it.
function windows(from, to) {
  const scale = from / to, reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, k) => {
    const center = (k + 0.5) * scale;
    const first = Math.max(Math.floor(center - reach + 0.5), 0);
    const last = Math.min(Math.floor(center + reach + 0.5), from);
    const weights = [];
    for (let i = first; i < last; i++) weights.push(Math.max(0, 1 - Math.abs((i - center + 0.5) / reach)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

// RGBA pixels, width x height -> RGB, side x side, as bytes: row after row, as numpy has them.
export function square(pixels, width, height, side) {
  const across = new Uint8Array(height * side * 3);
  windows(width, side).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0.5;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * pixels[4 * (y * width + first + i) + c];
        across[3 * (y * side + x) + c] = sum;
      }
    }
  });
  const found = new Uint8Array(side * side * 3), line = side * 3;
  windows(height, side).forEach(({ first, weights }, y) => {
    for (let at = 0; at < line; at++) {
      let sum = 0.5;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * across[(first + i) * line + at];
      found[y * line + at] = sum;
    }
  });
  return found;
}

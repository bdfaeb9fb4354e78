// Pictures of an image: the photograph, heatmaps over it, boxes.
"use strict";

const Data = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;

// What is embedded, read when it is needed.
const Embedded = (() => {
  const KEEP = 24, read = new Map(), decoded = new Map();

  // Picture and maps of an image; null where they are not in the file, undefined where they have not arrived yet.
  function of(image) {
    const slot = Data.images.slot[image];
    if (slot < 0) return null;
    const chunk = Math.floor(slot / Data.chunk);
    if (!read.has(chunk)) {
      const script = document.getElementById(`pixels-${chunk}`);
      if (!script || (document.readyState === "loading" && !script.nextElementSibling)) return undefined;
      if (read.size >= KEEP) read.delete(read.keys().next().value);
      read.set(chunk, JSON.parse(script.textContent));
    }
    return read.get(chunk)[slot % Data.chunk];
  }

  // Levels of the fused map, and the branches' maps at feature resolution, 0..1.
  function maps(image, k) {
    const key = `${image} ${k}`;
    if (!decoded.has(key)) {
      const column = Data.columns[k], size = column.grid[0] * column.grid[1];
      const [grid, corrections, branches, span] = of(image).maps[k];
      const fused = Float64Array.from(Maps.floats(grid));
      const all = branches ? Maps.shares(branches) : Maps.minmax(fused) ?? new Float64Array(size);
      decoded.set(key, {
        levels: Maps.levels(
          fused, column.grid, Data.taps[column.rows], Data.taps[column.columns], Maps.bytes(corrections), Maps.doubles(span),
        ),
        branches: Array.from({ length: column.branches }, (_, b) => all.subarray(b * size, (b + 1) * size)),
      });
    }
    return decoded.get(key);
  }

  return { of, maps, forget: () => decoded.clear() };
})();

// What the box rule found, from the records.
const Found = {
  box(image, k) {
    const box = Data.columns[k].box.slice(4 * image, 4 * image + 4);
    return box[2] > box[0] ? box : null;
  },
  truths: (image, k) => Maps.onMap(Data.images.truth[image], Data.images.size[image], Data.columns[k].side),
  kind: (image, k) => Data.kinds[Data.columns[k].kind[image]] ?? null,
};

const COLORS = Maps.bytes(Data.heat);

// Levels 0..255 as a picture.
function paintHeat(canvas, levels, side) {
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), pixels = context.createImageData(side, side);
  for (let i = 0; i < levels.length; i++) {
    const v = levels[i];
    pixels.data[4 * i] = COLORS[3 * v];
    pixels.data[4 * i + 1] = COLORS[3 * v + 1];
    pixels.data[4 * i + 2] = COLORS[3 * v + 2];
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

// Black where the multiplier, as levels, is low: what it leaves of the photograph.
function paintShade(canvas, levels, side) {
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), pixels = context.createImageData(side, side);
  for (let i = 0; i < levels.length; i++) pixels.data[4 * i + 3] = 255 - levels[i];
  context.putImageData(pixels, 0, 0);
}

// Maps that a cell can show, as levels of side `side`.
const Layers = {
  fused: (image, k) => Embedded.maps(image, k).levels,
  branch(image, k, b) {
    const column = Data.columns[k], grid = Embedded.maps(image, k).branches[b];
    const values = Maps.upsampled(grid, column.grid, Data.taps[column.rows], Data.taps[column.columns]);
    return Uint8Array.from(values, (v) => Math.floor(255 * Math.min(Math.max(v, 0), 1)));
  },
  complement: (image, k) => Layers.branch(image, k, 0).map((v) => 255 - v),
  // Erasing works on the grid, so its cells are shown as they are.
  kept(image, k) {
    const { side, grid, erase_at } = Data.columns[k], [height, width] = grid;
    const a = Embedded.maps(image, k).branches[0], out = new Uint8Array(side * side);
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        out[y * side + x] = a[Math.floor((y * height) / side) * width + Math.floor((x * width) / side)] < erase_at ? 255 : 0;
    return out;
  },
};

function rectangle(box, name) {
  const ns = "http://www.w3.org/2000/svg", group = document.createElementNS(ns, "g");
  group.setAttribute("class", name);
  for (const part of ["casing", "line"]) {
    const rect = document.createElementNS(ns, "rect");
    rect.setAttribute("class", part);
    group.append(rect);
  }
  moveRectangle(group, box);
  return group;
}

function moveRectangle(group, box) {
  group.style.display = box ? "" : "none";
  if (!box) return;
  for (const rect of group.children) {
    rect.setAttribute("x", box[0]);
    rect.setAttribute("y", box[1]);
    rect.setAttribute("width", box[2] - box[0]);
    rect.setAttribute("height", box[3] - box[1]);
  }
}

// A figure of one image. `layer` is one of Layers or null, `shade` draws it as what is left of the photograph, `boxes`
// says whose box is drawn: none, true, found.
function makeCell({ image, k, title, note = "", layer = null, argument = 0, shade = false, boxes = "found", alt = "" }) {
  const column = Data.columns[k], [width, height] = Data.images.size[image];
  const picture = element("img", { alt, decoding: "async" });
  const canvas = layer ? element("canvas", { class: shade ? "shade" : "heat", "aria-hidden": "true" }) : null;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${column.side} ${column.side}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const truths = Found.truths(image, k);
  if (boxes !== "none") for (const box of truths) svg.append(rectangle(box, "true"));
  const predicted = rectangle(null, "found");
  if (boxes === "found") svg.append(predicted);
  const stage = element("div", { class: "stage" }, picture, canvas, svg);
  stage.style.setProperty("--shape", width / height);
  const value = element("span", { class: "value" });
  const detail = element("span", { class: "detail" }, note);
  const caption = element("figcaption", {}, element("span", { class: "name" }, title), value, detail);
  const node = element("figure", { class: "cell" }, stage, caption);
  let painted = false, cut;

  // Paint what has arrived; `t` is a level, or null for the box rule's box.
  function show(t) {
    const embedded = Embedded.of(image);
    if (embedded === undefined) return;
    if (!painted) {
      painted = true;
      if (embedded) picture.src = `data:image/webp;base64,${embedded.picture}`;
      else stage.replaceChild(element("p", { class: "missing" }, "picture not in this file"), picture);
      if (embedded && layer) (shade ? paintShade : paintHeat)(canvas, Layers[layer](image, k, argument), column.side);
    }
    if (boxes === "found" && t !== cut) {
      cut = t;
      box(t, embedded);
    }
  }

  function box(t, embedded) {
    const atRule = t === null || !embedded;
    const found = atRule ? Found.box(image, k) : Maps.largestBox(Embedded.maps(image, k).levels, column.side, t);
    moveRectangle(predicted, found);
    node.dataset.box = found ? found.join(" ") : "";
    if (!truths.length) {
      value.textContent = found ? "" : "no box";
      return;
    }
    const how = Maps.overlap(found, truths);
    const iou = atRule ? column.iou[image] : how.iou;
    const kind = atRule ? Found.kind(image, k) : Maps.kind(how, Data.iou_threshold);
    node.dataset.iou = iou;
    node.dataset.kind = kind;
    value.textContent = `IoU ${iou.toFixed(2)}, ${kind}`;
  }

  return { node, show };
}

// "Polar bear 71 %", where that is not the true class.
function wrongClass(image, k) {
  const column = Data.columns[k];
  if (column.rank[image] === 0) return "";
  return `✗ ${Data.classes[column.top[image][0]]} ${percent(column.score[image][0])}`;
}

// The cells of an image in a view.
function cellsOf(image, view, k) {
  const alt = `${Data.classes[Data.images.label[image]]}, ${Data.images.id[image]}`;
  if (view === "fusion") {
    const column = Data.columns[k], letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const branches = Array.from({ length: column.branches }, (_, b) => {
      const note = b ? `input: what ${letters.slice(0, b).split("").join(" and ")} left` : "input: the whole image";
      return makeCell({ image, k, title: `Branch ${letters[b]}`, note, layer: "branch", argument: b, boxes: "true" });
    });
    const note = column.branches > 1 ? column.fusion : "one branch: nothing to fuse";
    return [
      makeCell({ image, k, title: "Image", boxes: "true", alt }),
      ...branches,
      makeCell({ image, k, title: "Fused", note, layer: "fused" }),
    ];
  }
  if (view === "complement") {
    const at = Data.columns[k].erase_at, shared = { image, k, boxes: "none" };
    return [
      makeCell({ ...shared, title: "CAM", note: "branch A’s map", layer: "branch", alt }),
      makeCell({ ...shared, title: "1 − CAM", note: "the complement", layer: "complement" }),
      makeCell({ ...shared, title: `CAM < ${at}`, note: "the erased map", layer: "kept" }),
      makeCell({ ...shared, title: "Image × (1 − CAM)", note: "dimmed", layer: "complement", shade: true }),
      makeCell({ ...shared, title: "Image, erased", note: "removed", layer: "kept", shade: true }),
    ];
  }
  const several = Data.columns.length > 1;
  const methods = Data.columns.map((column, j) =>
    makeCell({
      image, k: j, title: several ? column.name : "", note: wrongClass(image, j), layer: "fused", alt: several ? "" : alt,
    }),
  );
  return several ? [makeCell({ image, k: 0, title: "Image", boxes: "true", alt }), ...methods] : methods;
}

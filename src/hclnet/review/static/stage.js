// The picture with its boxes: drawn, selected, dragged by the mouse or a finger, and moved by the arrow keys.
import * as api from "./api.js";
import { $, element } from "./dom.js";
import { between, moved, resized } from "./geometry.js";

const SIDES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const NAMES = { nw: "top left", n: "top", ne: "top right", e: "right", se: "bottom right", s: "bottom", sw: "bottom left", w: "left" };
const LEAST_DRAWN = 4; // pixels of the screen, below which a stroke is no box

const stage = $("#stage"), room = $("#room"), picture = $("#picture"), layer = $("#boxes");
let size = [1, 1], drag = null, drawing = null, told = null;

// What the stage tells: `select(index)`, `change(index, box)` while a box moves, `changed()` when it stays, `drawn(box)`.
export function listen(listener) {
  told = listener;
}

// The picture of an image; it is swapped when it is there, so that nothing flickers.
export async function showPicture(image) {
  size = image.size;
  const coming = new Image();
  coming.src = api.picture(image.image);
  let fault = false;
  await coming.decode().catch(() => (fault = true));
  picture.src = fault ? "" : coming.src;
  picture.hidden = fault;
  picture.alt = image.name;
  fit();
  return !fault;
}

function fit() {
  const [width, height] = size;
  room.style.setProperty("--shape", width / height);
  const space = room.getBoundingClientRect();
  const scale = Math.min(space.width / width, space.height / height);
  stage.style.width = `${width * scale}px`;
  stage.style.height = `${height * scale}px`;
}
new ResizeObserver(fit).observe(room);

function place(node, [x0, y0, x1, y1]) {
  const [width, height] = size;
  node.style.left = `${(100 * x0) / width}%`;
  node.style.top = `${(100 * y0) / height}%`;
  node.style.width = `${(100 * (x1 - x0)) / width}%`;
  node.style.height = `${(100 * (y1 - y0)) / height}%`;
  node.classList.toggle("high", y0 < 0.05 * height);
}

export function showBoxes(objects, selected) {
  const focused = document.activeElement?.closest("#boxes") ? document.activeElement.dataset : null;
  layer.replaceChildren(
    ...objects.map((object, k) => {
      const handles = k !== selected ? [] : SIDES.map((side) =>
        element("button", { type: "button", class: "handle", "data-index": k, "data-side": side, "aria-label": `${NAMES[side]} of the box: arrow keys move it` }));
      const tag = element("span", { class: "tag" }, object.label);
      const node = element("div", { class: k === selected ? "box selected" : "box", tabindex: 0, role: "group", "data-index": k, "data-side": "" }, tag, ...handles);
      node.setAttribute("aria-label", `${object.label}, box ${k + 1} of ${objects.length}: arrow keys move it`);
      node.dataset.box = object.box.join(" ");
      place(node, object.box);
      return node;
    }),
  );
  if (focused) focus(Number(focused.index), focused.side);
}

// A box of the same number somewhere else, without the others being drawn anew.
function shift(index, box) {
  const node = layer.children[index];
  node.dataset.box = box.join(" ");
  place(node, box);
}

export function focus(index, side = "") {
  layer.querySelector(side ? `.handle[data-index="${index}"][data-side="${side}"]` : `.box[data-index="${index}"]`)?.focus();
}

// The next stroke across the picture is a box.
export function draw(purpose) {
  drawing = purpose;
  stage.classList.toggle("drawing", purpose !== null);
}
export const isDrawing = () => drawing;

const at = (event) => {
  const frame = stage.getBoundingClientRect();
  return [((event.clientX - frame.left) * size[0]) / frame.width, ((event.clientY - frame.top) * size[1]) / frame.height];
};

stage.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || drag) return;
  const target = event.target.closest(".box, .handle");
  if (drawing !== null) {
    const node = element("div", { class: "box selected new" });
    layer.append(node);
    drag = { start: at(event), node, screen: [event.clientX, event.clientY] };
  } else if (target) {
    const index = Number(target.dataset.index), side = target.dataset.side;
    told.select(index);
    focus(index, side);
    drag = { start: at(event), index, side, box: told.box(index), moved: false };
  } else return;
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
});

stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = at(event), [dx, dy] = [x - drag.start[0], y - drag.start[1]];
  if (drag.node) {
    drag.box = between(drag.start, [x, y], size);
    place(drag.node, drag.box);
  } else if (dx || dy) {
    drag.moved = true;
    const box = drag.side ? resized(drag.box, drag.side, dx, dy, size) : moved(drag.box, dx, dy, size);
    shift(drag.index, box);
    told.change(drag.index, box);
  }
});

function release(event) {
  if (!drag) return;
  const done = drag;
  drag = null;
  if (done.node) {
    done.node.remove();
    const far = Math.min(Math.abs(event.clientX - done.screen[0]), Math.abs(event.clientY - done.screen[1]));
    if (far >= LEAST_DRAWN && event.type === "pointerup") told.drawn(done.box);
  } else if (done.moved) told.changed();
}
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);

// The arrow keys on a box or a handle: half a percent of the image, with Shift a tenth of that.
export function arrow(key, small, index, side, box) {
  const step = Math.max(small ? 1 : 0.005 * Math.max(...size), small ? 0 : 1);
  const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key];
  const next = side ? resized(box, side, dx, dy, size) : moved(box, dx, dy, size);
  shift(index, next);
  told.change(index, next);
}

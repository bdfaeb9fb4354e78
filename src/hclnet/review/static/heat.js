// The heatmap over the picture, and the box at each of its levels.
import * as api from "./api.js";
import { $ } from "./dom.js";
import { iou } from "./geometry.js";

const DIFFERS = 0.95; // IoU below which a box is another one to the eye
const KEEP = 12;
const tables = new Map();
const overlay = $("#heat"), slider = $("#level"), value = $("#level-value"), on = $("#heat-on");
let image = null, table = null;

// The boxes at every level for each box of the model; fetched once.
export function levelsOf(k) {
  if (!tables.has(k)) {
    if (tables.size >= KEEP) tables.delete(tables.keys().next().value);
    tables.set(k, api.levels(k).catch(() => []));
  }
  return tables.get(k);
}

export const isOn = () => on.checked && image?.heatmap;

function paint() {
  overlay.hidden = !isOn();
  if (isOn() && overlay.dataset.image !== String(image.image)) {
    overlay.src = api.heatmap(image.image);
    overlay.dataset.image = image.image;
  }
  $("#stage").classList.toggle("heated", Boolean(isOn()));
}

on.addEventListener("change", paint);

export function toggle() {
  on.checked = !on.checked;
  paint();
}

export function show(now) {
  image = now;
  $("#with-heat").hidden = !now.heatmap;
  $("#without-heat").hidden = now.heatmap;
  paint();
}

// The slider at the level whose box is nearest to this one.
export async function follow(object) {
  const asked = image;
  table = null;
  const all = asked.heatmap && object ? await levelsOf(asked.image) : [];
  if (asked !== image) return;
  const same = asked.found.flatMap((one, k) => (one.label === asked.label ? [k] : []));
  table = (all.length > 1 ? all[same.indexOf(object.of)] : all[0]) ?? null;
  slider.disabled = !table;
  if (table) set(nearest(object.box));
  else value.textContent = "";
}

function nearest(box) {
  let best = Number(slider.value), highest = iou(table[best], box); // of equally near ones the slider's own
  for (let t = 0; t < 255; t++) {
    const overlap = iou(table[t], box);
    if (overlap > highest) [best, highest] = [t, overlap];
  }
  return best;
}

function set(t) {
  slider.value = t;
  value.textContent = (t / 255).toFixed(2);
}

// The box at the slider's level; null where the map has none.
export function boxAtLevel() {
  set(Number(slider.value));
  const box = table?.[Number(slider.value)];
  return box && box[2] > box[0] ? box : null;
}

// The next level up or down whose box looks different; null where there is none.
export function stepLevel(by, box) {
  if (!table) return null;
  for (let t = Number(slider.value) + by; t >= 0 && t < 255; t += by)
    if (table[t][2] > table[t][0] && iou(table[t], box) < DIFFERS) {
      set(t);
      return table[t];
    }
  return null;
}

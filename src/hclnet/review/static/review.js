// The image on the screen and what a person does with it. One thing is done after the other, so that fast keys are safe.
import * as api from "./api.js";
import { $, alarm, say } from "./dom.js";
import { center } from "./geometry.js";
import * as heat from "./heat.js";
import * as panel from "./panel.js";
import * as queue from "./queue.js";
import * as stage from "./stage.js";

const PAUSE = 400; // milliseconds after the last arrow key or step of a slider until a change is saved
const now = { image: null, objects: [], selected: 0, shown: "chosen" };
let all = null, chosen = [], waiting = null, edits = 0, line = Promise.resolve();

export const state = () => ({ ...now, all, chosen });

// Do this after all that was begun before.
export function inTurn(work) {
  line = line.then(work).catch((error) => alarm(error.message));
  return line;
}

export async function start() {
  all = await api.overview();
  panel.about(all);
  await choose();
}

// After another order was chosen: from its first image on.
export async function choose() {
  if (!(await flush())) return;
  chosen = await api.ranked(queue.order);
  queue.restart();
  await queue.refresh(all);
  panel.chosen(all, chosen);
  await next();
}

async function show(one) {
  alarm("");
  say("");
  stage.draw(null);
  if (one === null) return end();
  const image = await api.image(one.image);
  $("#end").hidden = true;
  $("#stage").hidden = false;
  now.shown = one.shown;
  const there = await stage.showPicture(image);
  adopt(image);
  if (!there) alarm(`${image.name} can't be shown: its file is gone or can't be read. Decide it, or go on.`);
  queue.refresh(all).catch((error) => alarm(error.message));
}

function end() {
  now.image = null;
  const left = queue.passedOver(all.verdict);
  $("#stage").hidden = true;
  $("#end").hidden = false;
  $("#again").hidden = left === 0;
  $("#end-text").textContent = left
    ? `All others are reviewed; ${left} ${left === 1 ? "was" : "were"} passed over.`
    : chosen.length ? "All images of this choice are reviewed." : "No image is in this choice.";
  panel.nothing();
}

// The image as the server has it; what was changed here in the meantime stays.
function adopt(image, changed = false) {
  now.image = image;
  if (!changed) now.objects = image.objects.map((object) => ({ ...object }));
  now.selected = Math.min(now.selected, Math.max(now.objects.length - 1, 0));
  all.verdict[image.image] = image.verdict;
  all.current[image.image] = now.objects[0]?.label ?? "";
  all.boxes[image.image] = now.objects.map(({ box }) => box.map((v, i) => v / image.size[i % 2]));
  for (const { label } of now.objects) if (!all.labels.includes(label)) all.labels.push(label);
  heat.show(image);
  draw();
  $("#stage").dataset.image = image.image;
}

function draw() {
  stage.showBoxes(now.objects, now.selected);
  panel.image(now, all, chosen);
  follow();
}

const follow = () => heat.follow(now.objects[now.selected]).catch((error) => alarm(error.message));

// Save; false where it could not be.
async function put(verdict, objects) {
  clearTimeout(waiting);
  waiting = null;
  const { image, revision } = now.image, sent = edits;
  try {
    const answer = await api.decide(image, { revision, verdict, objects, shown: now.shown });
    all.rest = answer.rest;
    adopt(answer.image, sent !== edits);
    panel.rest(all);
    alarm("");
    return true;
  } catch (error) {
    if (error.status === 409) {
      adopt(error.content.image);
      alarm("This image was changed in another window. You see how it is now; what you did here was not saved.");
    } else alarm(error.message);
    return false;
  }
}

// What was changed and not decided yet; an image that was accepted stays so.
const save = () => put(now.image.verdict === "accepted" && now.objects.length ? "accepted" : "open", now.objects);

// Save what waits; false where it could not be saved, and the person has to look first.
const flush = async () => waiting === null || !now.image || (await save());

function saveSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => inTurn(flush), PAUSE);
}

async function next(open = false) {
  if (!(await flush())) return;
  let one = queue.next(all, open);
  if (one === null) {
    await queue.refresh(all); // what was decided may have made room
    one = queue.next(all, open);
  }
  now.selected = 0;
  await show(one);
}

async function previous() {
  if (!(await flush())) return;
  const one = queue.previous();
  if (one) {
    now.selected = 0;
    await show(one);
  } else say("This is the first one.");
}

async function decide(verdict, objects) {
  if (await put(verdict, objects)) await next(true);
}

const change = (index, box) => {
  edits++;
  now.objects[index] = { ...now.objects[index], box };
  panel.objects(now);
};

stage.listen({
  box: (index) => now.objects[index].box,
  select: (index) => select(index),
  change,
  changed: () => inTurn(save),
  drawn: (box) => inTurn(() => drawn(box)),
});

export function select(index) {
  if (index === now.selected || index >= now.objects.length) return;
  now.selected = index;
  draw();
}

async function drawn(box) {
  const anew = stage.isDrawing() === "anew" && now.objects.length > 0;
  stage.draw(null);
  say("");
  const label = now.objects[now.selected]?.label ?? now.image.label;
  if (anew) now.objects[now.selected] = { label, box, of: null };
  else now.selected = now.objects.push({ label, box, of: null }) - 1;
  await save();
}

// By the keyboard alone: a box in the middle, to be moved by the arrow keys.
async function drawInTheMiddle() {
  await drawn(center(now.image.size));
  stage.focus(now.selected);
  say("Arrow keys move the box. Tab goes to its corners and sides. Esc ends.");
}

function begin(purpose) {
  stage.draw(purpose);
  say("Drag across the object. Enter puts a box in the middle, for the arrow keys. Esc ends.");
}

export async function setLabel(label) {
  if (!now.objects.length) return say("There is no box. D draws one.");
  now.objects[now.selected] = { ...now.objects[now.selected], label };
  await save();
}

export function atLevel(box) {
  if (!box || !now.objects.length) return;
  change(now.selected, box);
  stage.showBoxes(now.objects, now.selected);
  saveSoon();
}

export function arrow(key, small, index, side) {
  stage.arrow(key, small, index, side, now.objects[index].box);
  saveSoon();
}

export const jump = (image) => inTurn(async () => {
  if (!(await flush())) return;
  now.selected = 0;
  await show(queue.jump(image));
});

// With an image on the screen.
const actions = {
  accept: () => (now.objects.length ? decide("accepted", now.objects) : say("There is no box to accept. D draws one, N says that nothing is here.")),
  // What it means depends on what was done before, such as a D that waits for a save.
  enter: () => (stage.isDrawing() === null ? actions.accept() : drawInTheMiddle()),
  reject: async () => {
    if (now.objects.length < 2) return decide("rejected", []);
    now.objects.splice(now.selected, 1);
    await save();
  },
  empty: () => decide("empty", []),
  draw: () => begin("anew"),
  add: () => begin("add"),
  edit: () => {
    if (!now.objects.length) return say("There is no box. D draws one.");
    stage.focus(now.selected);
    say("Arrow keys move the box, with Shift by one pixel. Tab goes to its corners and sides. Esc ends.");
  },
  box: () => select(now.objects.length ? (now.selected + 1) % now.objects.length : 0),
  larger: () => step(-1),
  smaller: () => step(1),
};

function step(by) {
  if (!now.image.heatmap) return say("There is no heatmap of this image.");
  if (!now.objects.length) return say("There is no box. D draws one.");
  const box = heat.stepLevel(by, now.objects[now.selected].box);
  if (box) atLevel(box);
  else say("There is no other box in this direction.");
}

const anytime = {
  next: async () => (now.image === null ? say("This was the last one.") : next()),
  previous,
  undo: async () => {
    if (!(await flush())) return;
    const answer = await api.undo();
    if (!answer.image) return say("There is nothing to undo in this window.");
    all.rest = answer.rest;
    all.verdict[answer.image.image] = answer.image.verdict;
    panel.rest(all);
    await show(queue.jump(answer.image.image));
  },
  again: async () => {
    queue.restart();
    await queue.refresh(all);
    await next();
  },
  files: async () => {
    if (!(await flush())) return;
    say("Writing ...");
    say(`Written: ${(await api.files()).join(", ")}`);
  },
  rule: async () => {
    if (!(await flush())) return;
    panel.rule(null, all);
    panel.rule(await api.rule(), all);
  },
};

export const has = (name) => name in actions || name in anytime;

export function act(name) {
  return inTurn(async () => {
    if (name in anytime) return anytime[name]();
    if (!now.image) return;
    if (!["draw", "add", "edit", "box", "larger", "smaller"].includes(name) && !(await flush())) return;
    return actions[name]();
  });
}

// The keys, and the dialog that lists them.
import * as classes from "./classes.js";
import { $, element, say } from "./dom.js";
import * as grid from "./grid.js";
import * as heat from "./heat.js";
import * as review from "./review.js";
import * as stage from "./stage.js";

const LISTED = [
  ["Enter", "accept the boxes as they are, and go on"],
  ["Delete", "reject the box; the next image after the last box"],
  ["N", "nothing here: there is no object in the image"],
  ["→ ←", "next and previous image; nothing is decided"],
  ["U", "undo what was done last, also Ctrl+Z"],
  ["[ ]", "the next larger or smaller box of the heatmap"],
  ["H", "show the heatmap"],
  ["D", "draw the box anew: drag, or Enter and the arrow keys"],
  ["A", "add another box"],
  ["E", "move the box by the arrow keys, with Shift by a pixel; Tab goes to its sides and corners"],
  ["B", "select the next box"],
  ["C", "change the class; 1 to 9 are the first nine"],
  ["G", "overview of all images"],
  ["W", "write the files"],
  ["Esc", "end drawing or moving"],
];
const ACTIONS = {
  Enter: "enter", Delete: "reject", Backspace: "reject", ArrowRight: "next", ArrowLeft: "previous", "[": "larger", "]": "smaller",
  n: "empty", u: "undo", d: "draw", a: "add", e: "edit", b: "box", w: "files",
};
const DIALOGS = { g: grid.open, c: classes.open, h: heat.toggle, "?": help };

function help() {
  $("#keys").replaceChildren(
    ...LISTED.map(([key, what]) => element("div", {}, element("dt", {}, ...key.split(" ").map((k) => element("kbd", {}, k))), element("dd", {}, what))),
  );
  $("#help").showModal();
}

function leave() {
  stage.draw(null);
  say("");
  document.activeElement?.blur();
}

// What an element does with a key itself.
function isIts(target, key) {
  if (target.closest(".box, .handle")) return false;
  if (target.matches("select, input[type=search]")) return key !== "Escape";
  if (target.matches("input[type=range]")) return key.startsWith("Arrow");
  return target.matches("button, input[type=checkbox]") && (key === "Enter" || key === " ");
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event, undo = (event.ctrlKey || event.metaKey) && key.toLowerCase() === "z";
  if (document.querySelector("dialog[open]") || event.altKey || ((event.ctrlKey || event.metaKey) && !undo)) return;
  if (event.isComposing || isIts(target, key)) return;
  const marked = target.closest(".box, .handle"), name = key.length === 1 ? key.toLowerCase() : key;
  if (key === "Escape") leave();
  else if (undo) review.act("undo");
  else if (marked && key.startsWith("Arrow")) review.arrow(key, event.shiftKey, Number(marked.dataset.index), marked.dataset.side);
  else if (/^[1-9]$/.test(key)) {
    const label = review.state().all.labels[Number(key) - 1];
    if (label && review.state().image) review.inTurn(() => review.setLabel(label));
  } else if (name in DIALOGS && !event.repeat) DIALOGS[name]();
  else if (name in ACTIONS && !(event.repeat && name === "Enter")) review.act(ACTIONS[name]);
  else return;
  event.preventDefault();
});

// Buttons do what their keys do. A click leaves no focus behind, so that Enter accepts and does not click again.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("close" in button.dataset) button.closest("dialog").close();
  const name = button.dataset.do;
  if (name === "overview") grid.open();
  else if (name === "help") help();
  else if (name === "label") classes.open();
  else if (name) review.act(name);
  if (event.detail > 0 && !button.classList.contains("handle")) button.blur();
});

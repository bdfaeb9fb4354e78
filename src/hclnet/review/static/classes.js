// The dialog in which a box gets another class.
import { $, element } from "./dom.js";
import * as review from "./review.js";

const SHOWN = 60;
const dialog = $("#classes"), text = $("#class-text"), list = $("#class-list");
let names = [], at = 0;

function matching() {
  const wish = text.value.trim(), lower = wish.toLowerCase();
  const { all: { labels: all }, objects, selected } = review.state();
  names = all.filter((name) => name.toLowerCase().includes(lower)).slice(0, SHOWN);
  const added = wish && !all.includes(wish) ? [wish] : [];
  at = Math.max(names.indexOf(wish || objects[selected].label), 0);
  names.push(...added);
  list.replaceChildren(
    ...names.map((name, k) => {
      const number = all.indexOf(name) + 1;
      const key = number > 0 && number < 10 ? element("kbd", {}, String(number)) : null;
      const node = element("li", { role: "option", id: `class-${k}`, "data-k": k }, added.includes(name) ? `New class: ${name}` : name, key ? " " : "", key);
      node.addEventListener("click", () => choose(k));
      return node;
    }),
  );
  mark();
}

function mark() {
  for (const [k, node] of [...list.children].entries()) node.setAttribute("aria-selected", String(k === at));
  text.setAttribute("aria-activedescendant", names.length ? `class-${at}` : "");
  list.children[at]?.scrollIntoView({ block: "nearest" });
}

function choose(k) {
  const name = names[k];
  dialog.close();
  if (name) review.inTurn(() => review.setLabel(name));
}

export function open() {
  const { image, objects } = review.state();
  if (!image || !objects.length) return;
  text.value = "";
  matching();
  dialog.showModal();
  text.focus();
}

text.addEventListener("input", matching);
text.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) at = (at + by + names.length) % Math.max(names.length, 1);
  else if (event.key === "Enter") choose(at);
  else return;
  event.preventDefault();
  mark();
});

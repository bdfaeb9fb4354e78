// The overview: thumbnails of all images of the choice with their boxes, some at a time.
import * as api from "./api.js";
import { $, element } from "./dom.js";
import * as review from "./review.js";

const PART = 120;
const MARKS = { accepted: "✓", rejected: "✗", empty: "∅", open: "…" };
const SAID = { accepted: "accepted", rejected: "rejected", empty: "nothing here", open: "changed, not decided", "": "not decided" };
const dialog = $("#overview"), list = $("#thumbnails"), more = $("#more");
let images = [], made = 0;

function card(k) {
  const { all, image } = review.state(), verdict = all.verdict[k];
  const picture = element("img", { src: api.thumbnail(k), loading: "lazy", decoding: "async", alt: "" });
  const button = element("button", { type: "button", "data-image": k, title: all.name[k] },
    element("span", { class: "thumb" }, picture, ...all.boxes[k].map(outline)),
    element("span", { class: "mark", "data-verdict": verdict }, MARKS[verdict] ?? ""),
    element("span", { class: "what" }, all.current[k] || "no box"));
  button.setAttribute("aria-label", `${all.name[k]}, ${all.current[k] || "no box"}, ${SAID[verdict]}`);
  if (image?.image === k) button.setAttribute("aria-current", "true");
  return element("li", {}, button);
}

function outline([x0, y0, x1, y1]) {
  const node = element("i");
  node.style.left = `${100 * x0}%`;
  node.style.top = `${100 * y0}%`;
  node.style.width = `${100 * (x1 - x0)}%`;
  node.style.height = `${100 * (y1 - y0)}%`;
  return node;
}

function append() {
  const end = Math.min(made + PART, images.length);
  list.append(...images.slice(made, end).map(card));
  made = end;
  more.textContent = made < images.length ? `${made} of ${images.length} ...` : "";
}

new IntersectionObserver((entries) => {
  if (entries.some((one) => one.isIntersecting) && dialog.open && made < images.length) append();
}, { root: dialog, rootMargin: "600px" }).observe(more);

export function open() {
  images = review.state().chosen;
  made = 0;
  list.replaceChildren();
  append();
  const current = images.indexOf(review.state().image?.image);
  while (made <= current) append();
  dialog.showModal();
  const node = list.querySelector("[aria-current]");
  node?.scrollIntoView({ block: "center" });
  node?.focus();
}

list.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  dialog.close();
  review.jump(Number(button.dataset.image));
});

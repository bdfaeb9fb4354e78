// Which images are listed, in what order, and the page of them that is on the screen.
"use strict";

const List = (() => {
  const several = Data.columns.length > 1, count = Data.images.id.length;
  const PAGE = several ? 12 : 24;
  const state = { judge: several ? -1 : 0, label: -1, kinds: new Set(), wrong: false, text: "", order: "worst", view: "methods" };
  const list = document.getElementById("list"), status = document.getElementById("status");
  let chosen = [], start = 0, threshold = null;
  let cells = new Map();
  const near = new Set();

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) near.delete(target);
      else {
        near.add(target);
        cells.get(target)?.show(threshold);
      }
    }
  }, { rootMargin: "300px" });

  const judges = () => (state.judge < 0 ? Data.columns.map((_, k) => k) : [state.judge]);

  // The method whose branches are shown.
  function shownColumn() {
    if (state.judge >= 0) return state.judge;
    const last = Data.columns.map((column) => column.branches > 1).lastIndexOf(true);
    return last >= 0 ? last : Data.columns.length - 1;
  }

  const isWrong = (image) => judges().some((k) => Data.columns[k].rank[image] > 0);
  const hasKind = (image, kind) => judges().some((k) => Found.kind(image, k) === kind);

  // Every filter but the one that is named.
  function passes(image, but = "") {
    if (but !== "label" && state.label >= 0 && Data.images.label[image] !== state.label) return false;
    if (state.text && !Data.images.id[image].toLowerCase().includes(state.text)) return false;
    if (but !== "wrong" && state.wrong && !isWrong(image)) return false;
    return but === "kinds" || !state.kinds.size || [...state.kinds].some((kind) => hasKind(image, kind));
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const overlapOf = (image) => mean(judges().map((k) => Data.columns[k].iou[image] ?? NaN));

  function sorted(images) {
    const rank = Data.images.rank;
    if (state.order === "name") return images;
    const keys = new Map();
    for (const image of images) {
      const overlaps = Data.columns.map((column) => column.iou[image] ?? NaN);
      let key = state.judge < 0 ? rank[image] : overlapOf(image);
      if (state.order === "best") key = -key;
      if (state.order === "apart") key = Math.min(...overlaps) - Math.max(...overlaps);
      keys.set(image, Number.isNaN(key) ? Infinity : key);
    }
    return images.sort((a, b) => {
      const [p, q] = [keys.get(a), keys.get(b)];
      return p === q ? rank[a] - rank[b] : p - q;
    });
  }

  // After a change of filter, order or view.
  function refresh() {
    chosen = sorted(Array.from({ length: count }, (_, i) => i).filter((i) => passes(i)));
    start = 0;
    render();
  }

  function render() {
    watcher.disconnect();
    near.clear();
    cells = new Map();
    Embedded.forget();
    const images = chosen.slice(start, start + PAGE);
    list.className = `list ${several || state.view !== "methods" ? "rows" : "tiles"}`;
    list.replaceChildren(...images.map(card));
    for (const node of cells.keys()) watcher.observe(node);
    const end = start + images.length;
    status.textContent = chosen.length
      ? `${start + 1} to ${end} of ${chosen.length} image${chosen.length === 1 ? "" : "s"}`
      : "No image matches these filters.";
    for (const button of document.querySelectorAll("[data-turn]"))
      button.disabled = button.dataset.turn === "-1" ? start === 0 : end >= chosen.length;
  }

  function card(image) {
    const made = cellsOf(image, state.view, shownColumn());
    for (const cell of made) cells.set(cell.node, cell);
    const name = Data.classes[Data.images.label[image]];
    const open = element("button", { class: "open", type: "button", "data-image": image }, name);
    open.setAttribute("aria-label", `${name}, ${Data.images.id[image]}: enlarge`);
    return element(
      "li", { class: "card", "data-image": image },
      element("div", { class: "head" }, open, element("span", { class: "id" }, Data.images.id[image])),
      element("div", { class: "cells" }, ...made.map((cell) => cell.node)),
    );
  }

  // Cut at a level, or null for the box rule; those on the screen at once, the others when they come into view.
  function cut(t) {
    threshold = t;
    for (const node of near) cells.get(node)?.show(t);
  }

  function turn(by) {
    start = Math.min(Math.max(0, start + by * PAGE), Math.max(0, chosen.length - 1));
    render();
  }

  // How many images each choice would keep.
  function counts() {
    const of = { labels: new Map(), kinds: new Map(), wrong: 0 };
    for (let image = 0; image < count; image++) {
      const label = Data.images.label[image];
      if (passes(image, "label")) of.labels.set(label, (of.labels.get(label) ?? 0) + 1);
      if (passes(image, "wrong") && isWrong(image)) of.wrong++;
      if (passes(image, "kinds"))
        for (const kind of Data.kinds) if (hasKind(image, kind)) of.kinds.set(kind, (of.kinds.get(kind) ?? 0) + 1);
    }
    return of;
  }

  return {
    state, several, refresh, turn, cut, counts, shownColumn,
    judged: () => judges().map((k) => Data.columns[k]),
    threshold: () => threshold,
    images: () => chosen,
    redraw() {
      for (const node of near) cells.get(node)?.show(threshold);
    },
  };
})();

// Controls: theme, sliders, filters, the enlarged image.
"use strict";

const $ = (selector) => document.querySelector(selector);

// Colors: the system's, unless the reader chose. A browser may refuse to store the choice.
(() => {
  const picks = document.querySelectorAll("input[name=theme]");
  const remembered = () => {
    try {
      return localStorage.getItem("hclnet-theme") ?? "auto";
    } catch {
      return "auto";
    }
  };
  const set = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    for (const pick of picks) pick.checked = pick.value === theme;
  };
  for (const pick of picks)
    pick.addEventListener("change", () => {
      set(pick.value);
      try {
        localStorage.setItem("hclnet-theme", pick.value);
      } catch {
        // Not remembered, then.
      }
    });
  set(remembered());
})();

// Sliders.
const Sliders = (() => {
  const opacity = $("#opacity"), threshold = $("#threshold"), rule = $("#at-rule"), shown = $("#threshold-value");
  let waiting = false;

  const level = () => (rule.checked ? null : Number(threshold.value));

  function describe() {
    const t = level(), judged = List.judged();
    const share = (Number(threshold.value) / 255).toFixed(2);
    threshold.setAttribute("aria-valuetext", `${share} of the maximum`);
    let text = t === null ? [...new Set(judged.map((column) => column.rule))].join(", ") : share;
    if (t !== null && judged.length === 1 && judged[0].accuracy) text += ` · ${percent(judged[0].accuracy[t], 1)} right`;
    shown.textContent = text;
    document.documentElement.classList.toggle("cutting", t !== null);
    for (const cursor of document.querySelectorAll(".cursor")) {
      cursor.hidden = t === null;
      cursor.style.left = `${(100 * (t ?? 0)) / 255}%`;
    }
    for (const cell of document.querySelectorAll("[data-accuracy-of]")) {
      const { accuracy } = Data.columns[Number(cell.dataset.accuracyOf)];
      cell.textContent = t === null || !accuracy ? "" : percent(accuracy[t], 1);
    }
  }

  function changed() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      describe();
      List.cut(level());
      Enlarged.cut(level());
    });
  }

  function fade() {
    document.documentElement.style.setProperty("--heat", opacity.value / 100);
    opacity.setAttribute("aria-valuetext", `${opacity.value} percent`);
    $("#opacity-value").textContent = `${opacity.value}%`;
  }

  function cutAt(t) {
    threshold.value = t;
    rule.checked = false;
    changed();
  }

  opacity.addEventListener("input", fade);
  threshold.addEventListener("input", () => cutAt(threshold.value));
  rule.addEventListener("change", changed);
  for (const plot of document.querySelectorAll(".plot.follows")) {
    const follow = (event) => {
      const { left, width } = plot.getBoundingClientRect();
      cutAt(Math.round(255 * Math.min(Math.max((event.clientX - left) / width, 0), 1)));
    };
    plot.addEventListener("pointerdown", follow);
    plot.addEventListener("pointermove", (event) => event.buttons && follow(event));
  }
  const best = Data.columns[List.shownColumn()].accuracy;
  threshold.value = best ? best.indexOf(Math.max(...best)) : 51;
  fade();
  return { level, describe, bar: $("#sliders") };
})();

// Filters.
const Filters = (() => {
  const { state } = List, label = $("#label"), kinds = [...document.querySelectorAll("input[name=kind]")];
  const wrong = $("#wrong"), text = $("#text"), order = $("#order"), judge = $("#judge");
  const views = [...document.querySelectorAll("input[name=view]")];

  for (const [k, name] of Data.classes.entries()) label.append(element("option", { value: k }, name));

  function describe() {
    const counts = List.counts();
    for (const option of label.options) {
      const k = Number(option.value);
      if (k < 0) continue;
      const images = counts.labels.get(k) ?? 0;
      option.textContent = `${Data.classes[k]} (${images})`;
      option.hidden = option.disabled = !images && !option.selected;
    }
    for (const box of kinds) box.parentElement.querySelector(".count").textContent = counts.kinds.get(box.value) ?? 0;
    wrong.parentElement.querySelector(".count").textContent = counts.wrong;
  }

  function read() {
    state.label = Number(label.value);
    state.kinds = new Set(kinds.filter((box) => box.checked).map((box) => box.value));
    state.wrong = wrong.checked;
    state.text = text.value.trim().toLowerCase();
    state.order = order.value;
    state.view = views.find((view) => view.checked).value;
    if (judge) state.judge = Number(judge.value);
    for (const node of document.querySelectorAll("[data-for-view]")) node.hidden = node.dataset.forView !== state.view;
    $("#of-method").textContent = Data.columns[List.shownColumn()].name;
    describe();
    Sliders.describe();
    List.refresh();
  }

  for (const control of [label, wrong, order, judge, ...kinds, ...views]) control?.addEventListener("change", read);
  text.addEventListener("input", read);
  $("#reset").addEventListener("click", () => {
    for (const control of [...kinds, wrong]) control.checked = false;
    label.value = -1;
    text.value = "";
    read();
  });
  for (const button of document.querySelectorAll("[data-turn]"))
    button.addEventListener("click", () => {
      List.turn(Number(button.dataset.turn));
      $("#images").scrollIntoView();
    });
  return { read };
})();

// One image, large, with every view of it.
const Enlarged = (() => {
  const dialog = $("#enlarged"), body = $("#enlarged-body"), home = Sliders.bar.parentElement, place = Sliders.bar.nextSibling;
  let shown = -1, cells = [], opener = null;

  function section(title, made) {
    cells.push(...made);
    return element("section", {}, element("h3", {}, title), element("div", { class: "cells" }, ...made.map((c) => c.node)));
  }

  function predictions(k) {
    const column = Data.columns[k];
    const items = column.top[shown].map((label, i) => {
      const name = element("span", {}, Data.classes[label]);
      if (label === Data.images.label[shown]) name.className = "is-true";
      return element("li", {}, name, element("span", { class: "score" }, percent(column.score[shown][i])));
    });
    const head = List.several ? element("h4", {}, column.name) : null;
    return element("div", {}, head, element("ol", {}, ...items));
  }

  function show(image) {
    shown = image;
    cells = [];
    const k = List.shownColumn(), of = List.several ? ` of ${Data.columns[k].name}` : "";
    $("#enlarged-title").textContent = Data.classes[Data.images.label[image]];
    $("#enlarged-id").textContent = Data.images.id[image];
    const guesses = element("div", { class: "guesses" }, ...Data.columns.map((_, j) => predictions(j)));
    body.replaceChildren(
      section(List.several ? "Methods" : "Heatmap and boxes", cellsOf(image, "methods", k)),
      section(`Branches and their fusion${of}`, cellsOf(image, "fusion", k)),
      section(`Input of a second branch${of}`, cellsOf(image, "complement", k)),
      element("section", {}, element("h3", {}, "Most probable classes"), guesses),
    );
    for (const cell of cells) cell.show(List.threshold());
    const images = List.images(), at = images.indexOf(image);
    $("#earlier").disabled = at <= 0;
    $("#later").disabled = at < 0 || at >= images.length - 1;
  }

  function step(by) {
    const images = List.images(), next = images[images.indexOf(shown) + by];
    if (next !== undefined) show(next);
  }

  function open(image) {
    opener = document.activeElement;
    show(image);
    $("#enlarged-sliders").append(Sliders.bar);
    dialog.showModal();
    body.scrollTop = 0;
  }

  dialog.addEventListener("close", () => {
    home.insertBefore(Sliders.bar, place);
    body.replaceChildren();
    cells = [];
    opener?.focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return; // the arrow keys are the slider's
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
  $("#earlier").addEventListener("click", () => step(-1));
  $("#later").addEventListener("click", () => step(1));
  $("#close").addEventListener("click", () => dialog.close());
  $("#list").addEventListener("click", (event) => {
    const card = event.target.closest(".open, .stage")?.closest(".card");
    if (card) open(Number(card.dataset.image));
  });
  return { cut: (t) => cells.forEach((cell) => cell.show(t)) };
})();

Filters.read();
document.addEventListener("DOMContentLoaded", List.redraw);
performance.mark("hclnet-ready");

// What stands beside the picture.
import { $, element, percent } from "./dom.js";
import { isMade } from "./queue.js";
import * as review from "./review.js";

const VERDICTS = { open: "changed, not decided", accepted: "accepted", rejected: "rejected", empty: "nothing here" };

// Once, at the start.
export function about(all) {
  const folder = all.folder.split(/[\\/]/).filter(Boolean).at(-1) ?? all.folder;
  $("#folder").textContent = folder;
  $("#folder").title = all.folder;
  document.title = `Review of ${folder} · hclnet`;
  const met = new Set(all.label);
  $("#label").replaceChildren(
    element("option", { value: "" }, "all classes"),
    ...all.labels.filter((name) => met.has(name)).map((name, k) => element("option", { value: `=${name}` }, name)),
  );
  $("#rule").textContent = all.heatmaps
    ? "The boxes of one fixed level beside those of the rule that made them, on the images that you have decided."
    : `That takes heatmaps, and none are kept here. ${command(all)}`;
  $("[data-do='rule']").hidden = !all.heatmaps;
  rest(all);
}

const command = (all) => `In the shell: hclnet calibrate ${/\s/.test(all.model) ? `'${all.model}'` : all.model} --data ${all.reviewed}`;

const made = (all, chosen) => chosen.filter((k) => isMade(all.verdict[k])).length;

export function chosen(all, chosen) {
  const total = all.name.length;
  $("#chosen").textContent = chosen.length === total
    ? `All ${total} images.`
    : `${chosen.length} of ${total} images.`;
  progress(all, chosen);
}

function progress(all, chosen) {
  const done = made(all, chosen);
  $("#count").textContent = `${done} of ${chosen.length}`;
  $("#bar").max = Math.max(chosen.length, 1);
  $("#bar").value = done;
}

export function image(now, all, chosen) {
  $("#name").textContent = now.image.name;
  $("#name").title = now.image.name;
  $("#drawn").hidden = now.shown !== "random";
  const badge = $("#verdict");
  badge.textContent = VERDICTS[now.image.verdict] ?? "";
  badge.dataset.verdict = now.image.verdict;
  badge.hidden = !badge.textContent;
  for (const button of document.querySelectorAll("[data-do='edit'], [data-do='label']")) button.disabled = !now.objects.length;
  objects(now);
  progress(all, chosen);
}

export function nothing() {
  $("#name").textContent = "";
  $("#drawn").hidden = $("#verdict").hidden = true;
  $("#objects").replaceChildren();
}

// The boxes of the image; where one comes from the model as it is, how sure the model was.
export function objects({ image, objects, selected }) {
  $("#objects").replaceChildren(
    ...objects.map((object, k) => {
      const from = object.of === null ? null : image.found[object.of];
      const same = from && from.label === object.label && from.box.every((v, i) => Math.abs(v - object.box[i]) < 1e-6);
      const trust = from?.agreement === null || !from ? "" : `, agreement ${from.agreement.toFixed(2)}`;
      const about = same ? `${percent(from.score)}${trust}` : from ? "changed by you" : "drawn by you";
      const button = element("button", { type: "button", "aria-pressed": String(k === selected) },
        element("span", { class: "what" }, object.label), element("span", { class: "soft" }, about));
      button.addEventListener("click", () => review.select(k));
      return element("li", {}, button);
    }),
  );
  if (!objects.length) $("#objects").append(element("li", { class: "soft small" }, image.found.length ? "No box now." : "The model found no box."));
}

export function rest({ rest: { images, drawn, counted, right, interval, several, fewest } }) {
  const whose = several ? "images" : "boxes", are = several ? "have every box right" : "are right";
  const main = $("#rest"), detail = $("#rest-detail");
  if (!images) {
    main.textContent = "There is no box left that you have not looked at.";
    detail.textContent = "";
  } else if (!interval) {
    main.textContent = "Not known yet.";
    detail.textContent = drawn < fewest
      ? `Every fifth image is drawn at random. ${drawn} of the ${fewest} that are needed are decided.`
      : "The order has come to all images that were drawn at random.";
  } else {
    const [low, high] = interval.map((share) => Math.round(100 * share));
    main.textContent = `Of the ${whose} that you have not looked at, ${low === high ? low : `${low} to ${high}`}\u00a0% ${are}.`;
    const passed = drawn > counted ? ` ${drawn - counted} more were drawn, and the order has come to them since.` : "";
    detail.textContent = `${right} of ${counted} that were drawn at random from among them ${are}: IoU with your box at least 0.5.${passed} The interval is of 95\u00a0%, for the ${images} that are left.`;
  }
}

export function rule(compared, all) {
  const node = $("#rule");
  if (!compared) {
    node.textContent = "Comparing ...";
    return;
  }
  const { images, unchanged, found } = compared;
  if (!found) {
    node.textContent = `That takes 5 accepted images with a heatmap; there are ${images}.`;
    return;
  }
  const [right, low, high] = found.gt_known, [, least, most] = found.difference;
  const judged = least > 0 ? "That would have been better." : most < 0 ? "That would have been worse." : "That is no clear difference.";
  const favored = unchanged ? ` ${unchanged} were accepted unchanged, which favors the present rule.` : "";
  node.replaceChildren(
    `On ${images} images with your boxes, the present rule (${all.box}) is right in ${percent(found.rule_gt_known)}. ` +
    `The best fixed level, ${found.threshold.toFixed(2)}, would be right in ${percent(right)} (${Math.round(100 * low)} to ${Math.round(100 * high)}\u00a0%). ${judged}${favored} `,
    element("span", { class: "soft" }, `To make it the rule, write the files and then ${command(all).replace("In", "in")}`),
  );
}

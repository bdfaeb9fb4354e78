// The page put together.
import { $, alarm } from "./dom.js";
import * as heat from "./heat.js";
import "./keys.js";
import { order } from "./queue.js";
import * as review from "./review.js";

$("#level").addEventListener("input", () => review.atLevel(heat.boxAtLevel()));

function choose() {
  const label = $("#label").value;
  const wanted = { by: $("#by").value, label: label ? label.slice(1) : null, score: Number($("#score").value) };
  review.inTurn(() => {
    Object.assign(order, wanted); // not before what was begun with another order is done
    return review.choose();
  });
}

const score = () => ($("#score-value").textContent = `${Math.round(100 * Number($("#score").value))} %`);
score();
$("#score").addEventListener("input", score);
for (const id of ["#by", "#label", "#score"])
  $(id).addEventListener("change", (event) => {
    choose();
    if (event.target.matches("select")) event.target.blur();
  });

review.inTurn(review.start).then(() => performance.mark("hclnet-ready"), (error) => alarm(error.message));

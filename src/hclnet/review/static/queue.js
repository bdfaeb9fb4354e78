// Which image comes next: what was shown, in order, and what the server says comes up, fetched before it is wanted.
import * as api from "./api.js";
import { levelsOf } from "./heat.js";

const AHEAD = 5, FETCHED = 2;
export const order = { by: "certainty", label: null, score: 0 };

const trail = []; // of { image, shown }
let at = -1, coming = [], asked = 0, begun = 0; // images before `begun` in the trail do not count as passed over
const fetched = new Map();

function fetchAhead(heatmaps) {
  for (const { image } of coming.slice(0, FETCHED)) {
    if (fetched.has(image)) continue;
    const picture = new Image();
    picture.src = api.picture(image);
    fetched.set(image, picture);
    if (heatmaps) levelsOf(image);
    if (fetched.size > 8) fetched.delete(fetched.keys().next().value);
  }
}

const undecided = (verdicts) => trail.slice(begun).map((one) => one.image).filter((k) => !isMade(verdicts[k]));

export const isMade = (verdict) => verdict !== "" && verdict !== "open";
export const passedOver = (verdicts) => new Set(undecided(verdicts)).size;

// Ask what comes up, with what is decided now.
export async function refresh({ verdict, heatmaps }) {
  const mine = ++asked;
  const answer = await api.coming(order, [...new Set(undecided(verdict))], trail[at]?.image ?? null, AHEAD);
  if (mine !== asked) return; // another image is shown by now
  coming = answer;
  fetchAhead(heatmaps);
}

// The next image, or null at the end: along what was shown before, `open` ones only if so wanted, and then what comes up.
export function next({ verdict }, open) {
  while (at < trail.length - 1) if (!isMade(verdict[trail[++at].image]) || !open) return trail[at];
  let first = coming.shift();
  while (first && isMade(verdict[first.image])) first = coming.shift();
  if (!first) return null;
  asked++;
  trail.push(first);
  at = trail.length - 1;
  return first;
}

export function previous() {
  return at > 0 ? trail[--at] : null;
}

// An image that was not next: chosen, or that of something undone. After it comes the one that it took the place of.
export function jump(image) {
  const before = trail.findLastIndex((one) => one.image === image);
  if (before >= 0) at = before;
  else trail.splice(Math.max(at, begun, 0), 0, { image, shown: "chosen" });
  at = Math.max(at, 0);
  return trail[at];
}

// Begin with the first image of the order again.
export function restart() {
  begun = trail.length;
  at = trail.length - 1;
}

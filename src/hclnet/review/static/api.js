// What the page asks of the server and tells it.

// This window, also after it was loaded again: what it did can be undone in it.
export const WINDOW = (() => {
  const made = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
  try {
    const known = sessionStorage.getItem("hclnet-window") ?? made();
    sessionStorage.setItem("hclnet-window", known);
    return known;
  } catch {
    return made();
  }
})();

export class Refused extends Error {
  constructor(message, status, content) {
    super(message);
    this.status = status;
    this.content = content;
  }
}

async function call(path, method = "GET", content = undefined) {
  const settings = { method, headers: {} };
  if (content !== undefined) {
    settings.body = JSON.stringify(content);
    settings.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, settings);
  } catch {
    throw new Refused("hclnet review does not answer: it was stopped. What you decided before is kept. Start it again and open the address that it prints.", 0);
  }
  const text = await answer.text();
  let result;
  try {
    result = JSON.parse(text);
  } catch {
    throw new Refused(text.trim() || `The server failed (${answer.status}).`, answer.status);
  }
  if (!answer.ok) throw new Refused(result.error ?? `The server failed (${answer.status}).`, answer.status, result);
  return result;
}

export const overview = () => call("api/overview");
export const image = (k) => call(`api/images/${k}`);
export const levels = (k) => call(`api/images/${k}/levels`);
export const decide = (k, change) => call(`api/images/${k}`, "PUT", { ...change, window: WINDOW });
export const undo = () => call("api/undo", "POST", { window: WINDOW });
export const coming = (order, passedOver, current, count) =>
  call("api/coming", "POST", { order, passed_over: passedOver, current, count });
export const ranked = (order) => call("api/ranked", "POST", order);
export const rule = () => call("api/rule");
export const files = () => call("api/files", "POST");

export const picture = (k) => `pictures/${k}`;
export const thumbnail = (k) => `thumbnails/${k}`;
export const heatmap = (k) => `heatmaps/${k}`;

// Elements.

export const $ = (selector) => document.querySelector(selector);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

// A line under the picture; an alert stays until the next decision.
export function say(text) {
  $("#hint").textContent = text;
}

export function alarm(text) {
  const node = $("#alert");
  node.textContent = text;
  node.hidden = !text;
}

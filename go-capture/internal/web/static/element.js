// SPDX-License-Identifier: Apache-2.0
// The page is built from nodes and text only: nothing that the device sends is ever read as HTML.

const svgSpace = "http://www.w3.org/2000/svg";

/** element("p", { class: "quiet" }, "text", child) */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Writes only what differs, so that readers of the screen and the layout are left in peace. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Brings children into an order. One that has its place is not moved: that would take the focus from it. */
export function arrange(place, nodes) {
  nodes.forEach((node, i) => {
    if (place.children[i] !== node) place.insertBefore(node, place.children[i] ?? null);
  });
}

export function mark(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

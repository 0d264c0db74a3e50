// SPDX-License-Identifier: Apache-2.0
// Which pictures load: those that can be seen, at the width at which they are shown, at a rate that all of them can share.
import { onWake } from "./clock.js";
import { widths } from "./live.js";

const calmFps = 1;
const settleMs = 150;

const pictures = new Map();
const seen = new Set();
let timer = 0;

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target) : seen.delete(target);
  settle();
});
const size = new ResizeObserver(settle);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
calm.addEventListener("change", arrange);
document.addEventListener("visibilitychange", arrange);
onWake(() => pictures.forEach((picture) => picture.resume()));

export function hang(picture) {
  pictures.set(picture.node, picture);
  sight.observe(picture.node);
  size.observe(picture.node);
}

export function takeDown(picture) {
  pictures.delete(picture.node);
  seen.delete(picture.node);
  sight.unobserve(picture.node);
  size.unobserve(picture.node);
  picture.want(null);
}

/** Waits until scrolling and resizing pause. */
function settle() {
  clearTimeout(timer);
  timer = setTimeout(arrange, settleMs);
}

function arrange() {
  for (const [node, picture] of pictures) {
    const wanted = !document.hidden && seen.has(node);
    picture.want(wanted ? { width: widthOf(node), fps: fairFps(seen.size) } : null);
  }
}

function widthOf(node) {
  const pixels = node.clientWidth * devicePixelRatio;
  return widths.find((width) => width >= pixels) ?? widths[widths.length - 1];
}

function fairFps(count) {
  if (calm.matches) return calmFps;
  if (count <= 4) return 30;
  return count <= 9 ? 15 : 10;
}

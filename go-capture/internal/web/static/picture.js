// SPDX-License-Identifier: Apache-2.0
// The live picture of one camera: a stream that comes back by itself, and that looks old when it is old.
import { element, svg, mark, write } from "./element.js";
import { age } from "./format.js";

const oldAfterMs = 2000;
const privacyText = { pixelate: "faces pixelated", blur: "faces blurred", none: "faces visible" };
const retryMs = { first: 500, most: 8000 };
const unchangedMs = 4000;

// Browsers open at most six connections to one host. Four streams leave room for the figures; further cameras show stills.
const mostStreams = 4;
const streams = new Set();

export class Picture {
  constructor(id) {
    this.base = `/api/v1/cameras/${encodeURIComponent(id)}`;
    this.image = element("img", { alt: `Live picture of ${id}`, width: 640, height: 480 });
    this.overlay = element("p", { class: "age" });
    this.badge = element("span", { class: "badge" });
    this.node = element("figure", { class: "picture old" }, this.image, this.overlay, this.badge, this.fullScreenButton());
    this.waitMs = retryMs.first;
    this.glass = new OffscreenCanvas(24, 18).getContext("2d", { willReadFrequently: true });
    this.image.addEventListener("error", () => this.retry());
    this.image.addEventListener("load", () => this.loaded());
  }

  fullScreenButton() {
    const corners = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M3 9V3h6M15 3h6v6M21 15v6h-6M9 21H3v-6" }));
    const button = element("button", { type: "button", "aria-label": "Full screen" }, corners);
    button.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : this.node.requestFullscreen()));
    return button;
  }

  /** Starts the stream, or stills when all streams are in use. */
  play() {
    if (this.playing) return;
    this.playing = true;
    this.streaming = streams.size < mostStreams;
    if (this.streaming) streams.add(this);
    this.open();
  }

  /** Ends the stream, so that nothing is encoded for a page that nobody sees. */
  pause() {
    this.playing = false;
    streams.delete(this);
    clearTimeout(this.timer);
    this.image.removeAttribute("src");
  }

  open() {
    if (!this.playing) return;
    clearTimeout(this.timer);
    this.sameSince = performance.now();
    const file = this.streaming ? "stream.mjpeg" : "snapshot.jpg";
    this.image.src = `${this.base}/${file}?boxes=1&t=${Date.now()}`;
  }

  retry() {
    if (!this.playing) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), this.waitMs);
    this.waitMs = Math.min(2 * this.waitMs, retryMs.most);
  }

  loaded() {
    this.waitMs = retryMs.first;
    if (this.playing && !this.streaming) this.timer = setTimeout(() => this.open(), retryMs.first);
  }

  /** Shows what the status says about the picture. */
  show(camera) {
    if (camera.width > 0 && this.image.width !== camera.width) {
      this.image.setAttribute("width", camera.width);
      this.image.setAttribute("height", camera.height);
    }
    write(this.badge, privacyText[camera.privacy] ?? "faces pixelated");
    mark(this.badge, "open", camera.privacy === "none");
  }

  /** `ageMs` is null before the first picture. A device that is silent gives no pictures either. */
  showAge(ageMs) {
    const known = ageMs !== null && ageMs !== undefined;
    const old = !known || ageMs > oldAfterMs;
    mark(this.node, "old", old);
    write(this.overlay, !old ? "" : known ? `no picture for ${age(ageMs)}` : "waiting for the first picture");
    if (old) this.wasOld = true;
    else this.watchStream();
  }

  /** A stream can end without an event: reopen it after a pause, and when new pictures exist but this one stands still. */
  watchStream() {
    if (this.wasOld) {
      this.wasOld = false;
      this.open();
    }
    if (!this.playing || !this.streaming || !this.image.naturalWidth) return;
    const seen = this.look();
    const now = performance.now();
    if (seen !== this.seen) [this.seen, this.sameSince] = [seen, now];
    else if (now - this.sameSince > unchangedMs) this.open();
  }

  look() {
    this.glass.drawImage(this.image, 0, 0, 24, 18);
    return this.glass.getImageData(0, 0, 24, 18).data.join();
  }
}

// SPDX-License-Identifier: Apache-2.0
// The live picture of one camera with the boxes of the same frame; it looks old when it is old.
import { drawFaces, grain } from "./boxes.js";
import { element, svg, mark, write } from "./element.js";
import { age } from "./format.js";
import { Live } from "./live.js";

const unshownAfterMs = 3000; // beyond the age at which a picture is old
const slowLink = "The connection to the device may be too slow; it is tried again all the time.";
const dashPx = 1.5;
const privacyText = { pixelate: "faces pixelated", blur: "faces blurred", none: "faces visible" };

export class Picture {
  constructor(id) {
    this.id = id;
    this.canvas = element("canvas", { role: "img", "aria-label": `Live picture of ${id}`, width: 640, height: 480 });
    this.pen = this.canvas.getContext("2d", { alpha: false });
    this.overlay = element("p", { class: "age" });
    this.why = element("small");
    this.badge = element("span", { class: "badge" });
    this.node = element("figure", { class: "picture old" }, this.canvas,
      element("div", { class: "over" }, this.overlay, this.why), this.badge, this.fullScreenButton());
    this.ageMs = null;
    this.oldMs = 2000; // as the device tells of each camera
    this.plain = false; // whether a face may be seen on what is drawn
    this.live = new Live(id, (bitmap, detections) => this.draw(bitmap, detections));
    this.live.pauseMs = this.oldMs + unshownAfterMs;
  }

  fullScreenButton() {
    const corners = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M3 9V3h6M15 3h6v6M21 15v6h-6M9 21H3v-6" }));
    const button = element("button", { type: "button", "aria-label": `Full screen: ${this.id}` }, corners);
    button.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : this.node.requestFullscreen()));
    button.hidden = !document.fullscreenEnabled; // on iPhones
    return button;
  }

  /** Wants pictures of a width and rate, or none: null. */
  want(view) {
    this.live.want(view);
    this.showMarks();
  }

  /** What is shown, or under way, is of before: only a picture from now on is one of now. */
  resume() {
    this.live.resume();
    this.live.forget();
    this.showMarks();
  }

  draw(bitmap, detections) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.pen.drawImage(bitmap, 0, 0);
    this.drawPlaces();
    if (detections) drawFaces(this.pen, detections);
    this.canvas.dataset.frame = detections?.frame ?? "";
    this.canvas.dataset.boxes = detections?.faces.length ?? 0;
    if (this.node.classList.contains("old")) this.showMarks();
  }

  /** Zones and lines as thin dashes, beneath the boxes. */
  drawPlaces() {
    if (!this.places?.length) return;
    const { width, height } = this.canvas;
    const thin = dashPx * grain(this.canvas);
    this.pen.setLineDash([4 * thin, 3 * thin]);
    for (const [style, thick] of [["rgb(0 0 0 / .5)", 2 * thin], ["rgb(255 255 255 / .8)", thin]]) {
      this.pen.strokeStyle = style;
      this.pen.lineWidth = thick;
      for (const corners of this.places) {
        this.pen.beginPath();
        for (const [x, y] of corners) this.pen.lineTo(x * width, y * height);
        this.pen.stroke();
      }
    }
    this.pen.setLineDash([]);
  }

  /** Shows what the status says about the picture. */
  show(camera) {
    write(this.badge, this.hides(camera));
    mark(this.badge, "open", camera.privacy === "none");
    this.oldMs = camera.picture_old_ms ?? this.oldMs;
    this.live.pauseMs = this.oldMs + unshownAfterMs;
    if (this.plain && camera.privacy !== "none") this.blot();
    this.plain = camera.privacy === "none";
    this.places = [...(camera.zones ?? []).map(({ polygon }) => [...polygon, polygon[0]]), ...(camera.lines ?? []).map(({ start, end }) => [start, end])];
    this.lost = camera.state === "lost";
    this.off = camera.state === "off";
    this.error = this.lost ? (camera.error ?? "") : "";
  }

  /** Shows nothing: from a camera that is away no picture comes that hides what may be seen on the last one. */
  blot() {
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.canvas.dataset.frame = "";
    this.live.forget();
    this.showMarks();
  }

  /** Where nobody looks for faces, all of the picture is hidden. */
  hides({ detect, privacy }) {
    if (detect === false && privacy !== "none") return "all pixelated: detection is off";
    return privacyText[privacy] ?? "faces pixelated";
  }

  /** `ageMs` is null before the first picture. A device that is silent gives no pictures either. */
  showAge(ageMs) {
    this.ageMs = ageMs;
    this.showMarks();
    if (this.isOld) this.live.resume(); // what is shown is of before, also when the device has a newer one
    this.live.check(!this.isOld);
  }

  /** Whether the device itself has no newer one. */
  get isOld() { return this.off || this.lost || this.ageMs === null || this.ageMs > this.oldMs; }

  showMarks() {
    const unseen = !this.isOld && this.live.unshownMs > this.live.pauseMs;
    mark(this.node, "old", this.isOld || unseen || this.live.stale);
    mark(this.node, "blank", this.ageMs === null);
    const late = this.live.stale ? "waiting for a picture" : "";
    write(this.overlay, this.isOld ? this.late : unseen ? "no picture reaches this browser" : late);
    write(this.why, unseen ? (this.live.why?.join(". ") ?? slowLink) : this.error ?? "");
  }

  /** Why the device has no newer one. */
  get late() {
    if (this.off) return "switched off";
    if (this.ageMs !== null) return `no picture for ${age(this.ageMs)}`;
    return this.lost ? "no picture: camera lost" : "waiting for the first picture";
  }
}

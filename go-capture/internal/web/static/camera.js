// SPDX-License-Identifier: Apache-2.0
// One camera's card: picture, figures, and on demand latency by stage and frames that add up.
import { element, mark, write } from "./element.js";
import { count, milliseconds, plural, rate } from "./format.js";
import { Picture } from "./picture.js";
import { Stages } from "./stages.js";

const stages = ["capture", "queue", "handoff", "infer", "publish"];
const reasons = ["superseded", "no_slot", "aborted", "abandoned"];
const states = { online: "live", lost: "lost", starting: "starting", off: "switched off", unknown: "unknown" };
const words = ["size", "places"]; // beside figures

export class Camera {
  constructor(id, open) {
    this.id = id;
    this.picture = new Picture(id);
    this.values = {};
    const inside = element("div", { class: "inside" }, this.picture.node,
      element("div", { class: "about" }, this.title(), this.figures(), this.places(), this.details(open)));
    this.node = element("section", { class: "camera", "aria-label": `Camera ${id}` }, inside);
  }

  title() {
    this.occupied = element("span", { class: "state" });
    this.state = element("span", { class: "state" });
    this.values.size = element("span", { class: "size" });
    return element("div", { class: "title" }, element("h2", {}, this.id), this.values.size, this.occupied, this.state);
  }

  figures() {
    return element("dl", { class: "figures" },
      this.figure("faces", "faces", "now"), this.figure("fps", "captured", "fps"),
      this.figure("fps_inferred", "inferred", "fps"), this.figure("total", "latency", "ms"));
  }

  places() {
    this.values.places = element("p", { class: "places" });
    return this.values.places;
  }

  figure(name, label, unit) {
    this.values[name] = element("span", {}, "–");
    return element("div", { class: name }, element("dt", {}, label), element("dd", {}, this.values[name], element("small", {}, unit)));
  }

  details(open) {
    const summary = element("summary", {}, "details", element("span", { class: "unseen" }, ` of ${this.id}`));
    this.stages = new Stages(stages, ["p50", "p99"]);
    return element("details", open ? { open: "" } : {}, summary, this.stages.node, this.frames());
  }

  frames() {
    const pair = (name, label) => {
      this.values[name] = element("dd", {}, "0");
      return element("div", { class: name }, element("dt", {}, label), this.values[name]);
    };
    this.pairs = Object.fromEntries(reasons.map((reason) => [reason, pair(reason, reason.replace("_", " "))]));
    return element("dl", { class: "frames" }, pair("captured", "captured"), pair("inferred", "= inferred"), pair("in_flight", "+ in flight"),
      ...reasons.map((reason) => { this.pairs[reason].firstChild.prepend("+ "); return this.pairs[reason]; }), pair("viewers", "viewers"));
  }

  /** Shows one camera of a status. */
  show(camera) {
    this.picture.show(camera);
    this.showState(camera);
    this.set("faces", camera.detecting ? count(camera.faces) : "–");
    this.set("fps", rate(camera.fps));
    this.set("fps_inferred", rate(camera.fps_inferred));
    this.set("size", camera.width > 0 ? `${camera.width} × ${camera.height}` : "");
    this.set("places", [...(camera.zones ?? []).map((zone) => zoneText(zone, camera.detecting)), ...(camera.lines ?? []).map(lineText)].join(" · "));
    this.showLatency(camera);
    this.showFrames(camera.frames);
    const lost = camera.viewers?.dropped ? `, ${plural(camera.viewers.dropped, "frame")} missed` : "";
    this.set("viewers", `${count(camera.viewers?.now)}${lost}`);
  }

  /** Shows that nobody knows how it is now: what was is no longer told as if it were so. The picture tells its age. */
  showUnknown() {
    this.showState({ state: "unknown" });
    this.stages.show({});
    for (const name of Object.keys(this.values)) this.set(name, words.includes(name) ? "" : "–");
  }

  set(name, text) { write(this.values[name], text); }

  showState(camera) {
    write(this.state, stateText(camera));
    mark(this.state, "bad", camera.state === "lost");
    mark(this.state, "off", !camera.detecting && camera.state !== "lost");
    this.occupied.hidden = !camera.detecting;
    write(this.occupied, camera.occupied ? "occupied" : "empty");
    mark(this.occupied, "off", !camera.occupied);
  }

  showLatency(camera) {
    this.stages.show(camera.latency_ms ?? {});
    this.set("total", camera.detecting ? milliseconds(camera.latency_ms?.total?.p50) : "–");
  }

  showFrames(frames) {
    for (const name of ["captured", "inferred", "in_flight"]) this.set(name, count(frames[name]));
    for (const reason of reasons) this.set(reason, count(frames.dropped[reason]));
  }
}

const stateText = (camera) => (camera.state === "online" && !camera.detecting ? "not detecting" : states[camera.state] ?? camera.state);

function zoneText(zone, seen) {
  const now = zone.occupied ? `${plural(zone.faces, "face")}, ` : "empty, ";
  return `${zone.name}: ${seen ? now : ""}${count(zone.entered)} entered, ${count(zone.left)} left`;
}
const lineText = (line) => `${line.name}: ${count(line.in)} in, ${count(line.out)} out`;

/** "door: 2 faces" for readers of the screen. */
export function sentence(camera) {
  if (!camera.detecting) return `${camera.id}: ${stateText(camera)}`;
  return `${camera.id}: ${plural(camera.faces, "face")}`;
}

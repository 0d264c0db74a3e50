// SPDX-License-Identifier: Apache-2.0
// The browser's own camera, or a picture, sent to the device; its faces are drawn over what was sent, with the time that it took.
import { Asking } from "./asking.js";
import { drawFaces } from "./boxes.js";
import { mark, write } from "./element.js";
import { count, milliseconds, plural, rate } from "./format.js";
import { cameras, lacking, Lens, refusalOf } from "./lens.js";
import { showProblems } from "./problems.js";
import { RoundTrip } from "./roundtrip.js";
import { greet, session } from "./session.js";
import { readStill } from "./still.js";

const tickMs = 250;
const oldAfterMs = 1000;
const announceMs = 2000;

const place = (id) => document.getElementById(id);
const [stage, video, drawn] = [place("stage"), place("video"), place("drawn")];
const pen = drawn.getContext("2d");

const trip = new RoundTrip();
const lens = new Lens(video, () => stopCamera(["The camera has gone", "Connect it again, then start it."]));
const asking = new Asking({ answered, again: (picture) => { picture.due = true; }, told: (problem) => tell("device", problem) });

const problems = { role: null, camera: null, device: null };
let source = null; // the lens or a still: what is shown and sent
let encoding = false;
let answer = null;
let answeredAt = 0;
let announced = { text: "", at: -announceMs };

function tell(about, problem) {
  problems[about] = problem;
  showProblems(place("problems"), Object.values(problems).filter(Boolean));
}

/** Shows and sends something else, or nothing: null. */
function use(next) {
  source = next;
  answer = null;
  tell("device", null);
  trip.clear();
  mark(stage, "empty", !source);
  mark(stage, "mirrored", source === lens && lens.mirrored);
  video.hidden = source !== lens;
  draw();
  connect();
}

/** Asks only while there is something to ask about, somebody looks, and they may. */
function connect() {
  asking.want(Boolean(source) && !document.hidden && !problems.role);
}

/** Sends what is shown when the device has room for it. */
async function ask() {
  const picture = source;
  if (encoding || !picture?.due || !asking.free) return;
  encoding = true;
  picture.due = false;
  const blob = await picture.encode();
  encoding = false;
  if (blob && picture === source && asking.free) asking.send(blob, picture);
  else picture.due = true;
}

function answered(found, picture, roundTripMs) {
  if (picture !== source) return;
  answer = found;
  answeredAt = performance.now();
  trip.add(found.latency_ms, roundTripMs);
  draw();
  ask();
}

function draw() {
  const [width, height] = source?.size ?? [640, 360];
  drawn.width = width; // which also clears it
  drawn.height = height;
  if (source?.canvas) pen.drawImage(source.canvas, 0, 0);
  if (answer) drawFaces(pen, answer, true);
  drawn.dataset.boxes = answer?.faces.length ?? "";
}

/** Four times a second: figures that can be read, and boxes that are not older than the picture under them. */
function tick() {
  if (source === lens && answer && performance.now() - answeredAt > oldAfterMs) {
    answer = null;
    draw();
  }
  asking.check();
  ask();
  trip.show();
  write(place("faces"), answer ? count(answer.faces.length) : "–");
  write(place("rate"), trip.rate === null ? "–" : rate(trip.rate));
  write(place("trip"), milliseconds(trip.meanMs));
  announce(answer ? plural(answer.faces.length, "face") : "");
}

function announce(text) {
  if (!text || text === announced.text || performance.now() - announced.at < announceMs) return;
  announced = { text, at: performance.now() };
  write(place("announcer"), text);
  drawn.setAttribute("aria-label", `What you sent: ${text}`);
}

/** Opens the camera with `open`, and says why where that fails. */
async function startCamera(open) {
  const missing = lacking();
  if (missing) return tell("camera", missing);
  if (place("start").disabled) return; // one starts already, and would be broken off
  place("start").disabled = true;
  try {
    await open();
    tell("camera", null);
    lens.watch(ask);
    use(lens);
    place("other").hidden = (await cameras()).length < 2;
    write(place("start"), "Stop camera");
  } catch (error) {
    stopCamera(refusalOf(error));
  }
  place("start").disabled = false;
}

function stopCamera(problem) {
  lens.close();
  place("other").hidden = true;
  write(place("start"), "Start camera");
  tell("camera", problem);
  if (source === lens) use(null);
}

async function take(file) {
  if (!file) return;
  const still = await readStill(file);
  if (!still) return tell("camera", ["This is no picture that the browser can read", "Choose a JPEG, PNG or WebP."]);
  stopCamera(null);
  use(still);
}

function listen() {
  place("start").addEventListener("click", () => (lens.track ? stopCamera(null) : startCamera(() => lens.open())));
  place("other").addEventListener("click", () => startCamera(() => lens.next()));
  place("choose").addEventListener("click", () => place("file").click());
  place("file").addEventListener("change", ({ target }) => {
    take(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  video.addEventListener("resize", () => source === lens && draw()); // a phone was turned
  document.addEventListener("visibilitychange", () => {
    lens.rest(document.hidden);
    connect();
  });
}

/** A picture may be dropped anywhere: one that misses must not replace the page. */
function listenForDrops() {
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(stage, "target", true);
  });
  document.addEventListener("dragleave", () => mark(stage, "target", false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(stage, "target", false);
    take(event.dataTransfer.files[0]);
  });
}

/** What makes a viewer an operator. They keep the cameras that they may see: an account that names none sees all. */
function promotion({ name, cameras: seen }) {
  const which = seen.includes("*") ? "" : seen.map((id) => ` --camera ${id}`).join("") || " --no-camera";
  return `“visavis auth revoke ${name}”, then “visavis auth add ${name} --role operator${which}”`;
}

async function begin() {
  const who = await session();
  if (who?.role === "viewer") {
    tell("role", [`${who.name} may look at cameras, not send pictures`, `An administrator gives the role operator: ${promotion(who)}.`]);
  }
  connect();
}

place("figures").append(trip.stages.node);
tell("camera", lacking());
listen();
listenForDrops();
greet(place("leave"), place("who"));
use(null);
begin();
setInterval(tick, tickMs);

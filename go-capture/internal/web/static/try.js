// SPDX-License-Identifier: Apache-2.0
// The browser's own camera, or a picture, sent to the device; its faces are drawn over what was sent, with the time that it took.
import { Asking } from "./asking.js";
import { drawFaces } from "./boxes.js";
import { Chosen } from "./chosen.js";
import { now } from "./clock.js";
import { mark, write } from "./element.js";
import { count, milliseconds, plural, rate } from "./format.js";
import { lacking, Lens, silentCamera } from "./lens.js";
import { showProblems } from "./problems.js";
import { RoundTrip } from "./roundtrip.js";
import { forgetWhenLeft, greet, session } from "./session.js";
import { Still } from "./still.js";

const tickMs = 250;
const oldAfterMs = 1000;
const announceMs = 2000;
const goneCamera = ["The camera has gone", "Connect it again, then start it."];

const place = (id) => document.getElementById(id);
const [stage, video, drawn] = [place("stage"), place("video"), place("drawn")];
const pen = drawn.getContext("2d");

const trip = new RoundTrip();
const asking = new Asking({ answered, again: (picture) => { picture.due = true; }, told: (problem) => tell("device", problem) });
const chosen = new Chosen({ uses: startOver, waits: showButtons, told: (problem) => tell("camera", problem) });

const problems = { role: null, camera: null, silent: null, device: null };
const nothing = { text: "", at: -Infinity };
let encoding = false;
let answer = null; // to a picture of what is shown
let answeredAt = 0;
let announced = nothing; // of what is shown

const isCamera = (picture) => picture instanceof Lens;

function tell(about, problem) {
  problems[about] = problem;
  showProblems(place("problems"), Object.values(problems).filter(Boolean));
}

/** Something else is shown and sent, or nothing: of that nothing is known. */
function startOver() {
  const { shown } = chosen;
  answer = null;
  tell("device", null);
  trip.clear();
  say(nothing); // so that as many faces are news again
  mark(stage, "empty", !shown);
  mark(stage, "mirrored", Boolean(shown?.mirrored));
  video.hidden = !isCamera(shown);
  draw();
  connect();
}

/** None is disabled ever: that would take the keyboard's focus from it. */
function showButtons() {
  const [start, other] = [place("start"), place("other")];
  for (const button of [start, other]) button.setAttribute("aria-disabled", isCamera(chosen.coming));
  write(start, isCamera(chosen.shown) ? "Stop camera" : "Start camera");
  const several = Boolean(chosen.shown?.others);
  if (!several && document.activeElement === other) start.focus();
  other.hidden = !several;
}

/** Asks only while there is something to ask about, somebody looks, and they may. */
function connect() {
  asking.want(Boolean(chosen.shown) && !document.hidden && !problems.role);
}

/** Sends what is shown when the device has room for it. */
async function ask() {
  const picture = chosen.shown;
  if (encoding || !picture?.due || !asking.free) return;
  encoding = true;
  picture.due = false;
  const blob = await picture.encode();
  encoding = false;
  if (blob && chosen.has(picture) && asking.free) asking.send(blob, picture);
  else picture.due = true;
}

function answered(found, picture, roundTripMs) {
  if (!chosen.has(picture)) return;
  answer = found;
  answeredAt = now();
  trip.add(found.latency_ms, roundTripMs);
  draw();
  ask();
}

function draw() {
  const { shown } = chosen;
  const [width, height] = shown?.size ?? [640, 360];
  drawn.width = width; // which also clears it
  drawn.height = height;
  if (shown?.canvas) pen.drawImage(shown.canvas, 0, 0);
  if (answer) drawFaces(pen, answer, true);
  drawn.dataset.boxes = answer?.faces.length ?? "";
}

/** A phone was turned: what was found lies elsewhere now. */
function turn() {
  if (!isCamera(chosen.shown)) return;
  answer = null;
  draw();
}

/** Four times a second: figures that can be read, and boxes that are not older than the picture under them. */
function tick() {
  if (isCamera(chosen.shown) && answer && now() - answeredAt > oldAfterMs) {
    answer = null;
    draw();
  }
  notice(isCamera(chosen.shown) && chosen.shown.silent);
  asking.check();
  ask();
  trip.show();
  write(place("faces"), answer ? count(answer.faces.length) : "–");
  write(place("rate"), trip.rate === null ? "–" : rate(trip.rate));
  write(place("trip"), milliseconds(trip.meanMs));
  if (answer) announce(plural(answer.faces.length, "face"));
}

/** A camera that pauses shows its last picture for as long as it likes; here nothing is shown then. */
function notice(silent) {
  if (silent === Boolean(problems.silent)) return;
  tell("silent", silent ? silentCamera : null);
  mark(stage, "silent", silent);
}

/** For readers of the screen: now and then what is new. */
function announce(text) {
  if (text !== announced.text && now() - announced.at > announceMs) say({ text, at: now() });
}

function say(words) {
  announced = words;
  write(place("announcer"), words.text);
  drawn.setAttribute("aria-label", ["What you sent", words.text].filter(Boolean).join(": "));
}

/** Starts a camera, or the next one after another, which ends. */
function startCamera(after) {
  const missing = lacking();
  if (missing) return tell("camera", missing);
  if (isCamera(chosen.coming)) return; // one starts already, and would be broken off
  chosen.bring(new Lens(video, { after, seen: ask, gone: (lens) => chosen.end(lens, goneCamera) }));
}

function startOrStop() {
  if (isCamera(chosen.shown) && !isCamera(chosen.coming)) chosen.end(chosen.shown, null);
  else startCamera(null);
}

function take(file) {
  if (file) chosen.bring(new Still(file));
}

function listen() {
  place("start").addEventListener("click", startOrStop);
  place("other").addEventListener("click", () => startCamera(chosen.shown));
  place("choose").addEventListener("click", () => place("file").click());
  place("file").addEventListener("change", ({ target }) => {
    take(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  video.addEventListener("resize", turn);
  document.addEventListener("visibilitychange", connect);
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
forgetWhenLeft(() => chosen.forget());
greet(place("leave"), place("who"));
startOver();
begin();
setInterval(tick, tickMs);

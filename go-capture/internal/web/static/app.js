// SPDX-License-Identifier: Apache-2.0
// Asks for the status once a second and shows it. Pictures come beside that (wall.js); a hidden page asks for nothing.
import { Announcer } from "./announcer.js";
import { ask } from "./ask.js";
import { Camera } from "./camera.js";
import { now, onWake } from "./clock.js";
import { arrange, element, mark, write } from "./element.js";
import { showEngine } from "./engine.js";
import { plural } from "./format.js";
import { problemsOf, showProblems } from "./problems.js";
import { forgetWhenLeft, greet, logIn } from "./session.js";
import { hang, takeDown } from "./wall.js";

const pollMs = 1000;
const silentAfterMs = 2500;
const openUpTo = 2;
const wallFrom = 5;
const largeFrom = 9;

const place = (id) => document.getElementById(id);
const cameras = new Map();
const announcer = new Announcer(place("announcer"));
let status = null;
let made = null; // by which device, of which version, the status that this page began with
let toldAt = 0; // by the device's clock
let answeredAt = now();
let timer = 0;
let seesAll = null; // unknown until the session is

async function poll() {
  try {
    const answer = await ask("/api/v1/status");
    if (answer.status === 401) return logIn();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const told = await answer.json();
    if (isUpdated(told)) return location.reload();
    made = { device: told.device, version: told.version };
    status = told;
    toldAt = Date.parse(answer.headers.get("Date"));
    answeredAt = now();
  } catch {
    // The device is silent: refresh() says so as soon as it lasts.
  }
  try {
    refresh();
  } finally {
    clearTimeout(timer); // of another poll that was under way when the page was hidden and seen again
    if (!document.hidden) timer = setTimeout(poll, pollMs);
  }
}

/** Whether the device has another version than this page, which may be open since last year. */
function isUpdated(told) {
  return made?.device === told.device && made.version !== told.version;
}

const isSilent = () => now() - answeredAt > silentAfterMs;

function refresh() {
  const silentMs = now() - answeredAt;
  const silent = isSilent();
  if (silent) showUnknown("bad", "no connection");
  else if (status) showStatus(status);
  if (status || silent) showProblems(place("problems"), problemsOf(status, silent ? silentMs : 0));
  for (const camera of status?.cameras ?? []) {
    const ageMs = camera.picture_age_ms ?? null;
    cameras.get(camera.id).picture.showAge(ageMs === null ? null : ageMs + (silent ? silentMs : 0));
  }
}

function showStatus(told) {
  write(place("device"), told.device);
  write(place("version"), `visavis ${told.version}`);
  document.title = `${told.device} · visavis`;
  showParts(told);
  showEngine(place("engine"), told, toldAt);
  showCameras(told.cameras);
  announcer.hear(told.cameras);
}

/** Nobody knows now what the last answer told. */
function showUnknown(kind, text) {
  place("parts").dataset.shown = "";
  place("parts").replaceChildren(element("li", { class: `state ${kind}` }, text));
  showEngine(place("engine"), {}, 0);
  for (const card of cameras.values()) card.showUnknown();
}

function forget() {
  status = null;
  showUnknown("off", "unknown");
  for (const { picture } of cameras.values()) {
    picture.want(null); // nor one that is under way; the wall wants new ones when the page is seen again
    picture.blot();
  }
}

function showParts(told) {
  const broker = brokerPart(told);
  const models = [...new Set(told.workers.map((worker) => `${worker.model} on ${worker.backend}${worker.precision && ` in ${worker.precision}`}`))].join(", ");
  const workers = [told.workers.length ? "" : "bad", plural(told.workers.length, "worker") + (models && `: ${models}`)];
  const key = JSON.stringify([workers, broker]);
  const list = place("parts");
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  list.replaceChildren(...[workers, broker].map(([kind, text]) => element("li", { class: `state ${kind}` }, text)));
}

function brokerPart({ broker, brokers }) {
  if (broker.enabled === false) return ["off", "MQTT off"];
  if (broker.connected) return ["", "MQTT connected"];
  const there = brokers.filter(({ connected }) => connected).length;
  return ["bad", there ? `MQTT: ${there} of ${brokers.length} brokers` : "MQTT not connected"];
}

function showCameras(list) {
  const ids = new Set(list.map((camera) => camera.id));
  for (const [id, card] of cameras) {
    if (ids.has(id)) continue;
    takeDown(card.picture);
    card.node.remove();
    cameras.delete(id);
  }
  for (const camera of list) {
    if (!cameras.has(camera.id)) add(camera.id, list.length <= openUpTo);
    cameras.get(camera.id).show(camera);
  }
  arrange(place("cameras"), list.map(({ id }) => cameras.get(id).node));
  place("bare").hidden = list.length > 0 || seesAll !== true;
  place("given").hidden = list.length > 0 || seesAll !== false;
  mark(place("cameras"), "wall", list.length >= wallFrom);
  mark(place("cameras"), "large", list.length > largeFrom);
}

/** Few cameras show all their figures at once; more of them on demand. */
function add(id, open) {
  const card = new Camera(id, open);
  cameras.set(id, card);
  hang(card.picture);
}

/** Begins to ask, or begins anew; not while nobody looks. */
function resume() {
  clearTimeout(timer);
  if (document.hidden) return;
  if (isSilent()) showUnknown("off", "unknown"); // nobody has asked, so nothing is wrong yet
  poll();
}

document.addEventListener("visibilitychange", resume);
onWake(resume);

async function learnWhatIsSeen() {
  const who = await greet(place("leave"), place("who"));
  seesAll = !who?.name || who.cameras.includes("*");
}

forgetWhenLeft(forget);
learnWhatIsSeen();
poll();

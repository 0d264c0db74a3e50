// SPDX-License-Identifier: Apache-2.0
// What is wrong, in a sentence, and what to do about it.
import { arrange, element, write } from "./element.js";
import { plural } from "./format.js";

const forgotten = location.protocol === "https:" ? " If all that is right, open this page anew: a browser that was told to accept the device's own " +
  "certificate forgets that, Chrome after a week." : "";

export const silentDevice = ["The device does not answer",
  `This page tries again by itself. Check that visavis is running and that you are on its network.${forgotten}`];

/** Lists [what, remedy] for a status; `silentMs` is how long the device has not answered, 0 = it does. */
export function problemsOf(status, silentMs) {
  if (silentMs > 0) return [silentDevice];
  const found = [];
  if (status.workers.length === 0 && status.engine?.state !== "building") {
    found.push(["No worker is connected, so no face is looked for",
      "Start one with “visavis worker” or “systemctl start visavis-infer@1”; “visavis doctor” says what it lacks."]);
  }
  const onCpu = status.workers.filter((worker) => worker.fallback).map((worker) => worker.name);
  if (onCpu.length > 0 || status.engine?.state === "failed") found.push(gpuProblem(onCpu, status.engine?.error));
  const alone = status.workers.filter(({ server, backend }) => server && backend !== "kserve");
  if (alone.length > 0) found.push(serverProblem(alone));
  if (status.thermal?.slowed) {
    found.push(["The device is too hot, so faces are looked for less often",
      "It goes back to full speed by itself when it has cooled down; a fan or a place in the shade helps."]);
  }
  found.push(...brokerProblems(status));
  for (const { name, error } of status.parts) {
    if (error) found.push([`Something is wrong with the ${name}`, `${error}.`]);
  }
  for (const camera of status.cameras) {
    if (camera.state === "lost") found.push(cameraProblem(camera));
  }
  return found;
}

function gpuProblem(onCpu, error) {
  const why = `${error || "“visavis doctor” and “dmesg” say what is wrong"}.`;
  if (onCpu.length === 0) return ["TensorRT cannot be used", `${why} Then start visavis again.`];
  return [`The GPU failed three times, so ${onCpu.join(", ")} works on the CPU`,
    `${why} The GPU is tried again by itself, at least once a day, or when you start visavis again.`];
}

function serverProblem(alone) {
  const each = alone.map(({ name, server }) =>
    `${name} lost it ${plural(server.losses, "time")} and inferred ${plural(server.local_frames, "frame")} here.`);
  return ["The model server is lost, so this device infers by itself", `It is tried again all the time; the log says why. ${each.join(" ")}`];
}

/** One for each that is away, by its name where there are several. */
function brokerProblems({ brokers }) {
  const away = brokers.filter(({ connected }) => !connected);
  const meanwhile = away.length < brokers.length ? "The others get everything." : "Detections reach this page only.";
  const called = ({ name }) => (brokers.length > 1 ? `MQTT broker ${name}` : "The MQTT broker");
  return away.map((broker) => [`${called(broker)} is not connected`, `${meanwhile} ${brokerNews(broker)}`]);
}

function brokerNews({ error, outbox }) {
  const waiting = outbox > 0 ? `${plural(outbox, "event")} ${outbox === 1 ? "waits" : "wait"} for it. ` : "";
  const why = error ? `${error}.` : "Check mqtt.url and that the broker runs.";
  return `${waiting}Now: ${why} It is tried again all the time.`;
}

function cameraProblem(camera) {
  return [`Camera ${camera.id} is lost`, camera.error || "Check its cable and power; “visavis doctor” lists the cameras. It is tried again all the time."];
}

/** Shows the problems. What is there already stays in its place, and its figures change in silence: it is read aloud once. */
export function showProblems(place, problems) {
  const shown = new Map([...place.children].map((node) => [node.firstChild.textContent, node]));
  const nodes = problems.map(([what]) => shown.get(what) ?? problemNode(what));
  for (const node of shown.values()) if (!nodes.includes(node)) node.remove();
  nodes.forEach((node, i) => write(node.lastChild, problems[i][1]));
  arrange(place, nodes);
}

const problemNode = (what) => element("div", { class: "problem" }, element("strong", {}, what), element("span", { "aria-live": "off" }));

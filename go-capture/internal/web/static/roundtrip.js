// SPDX-License-Identifier: Apache-2.0
// How long answers took, by stage: what the device tells, and the rest of the round trip, which is the network's.
import { now } from "./clock.js";
import { Stages } from "./stages.js";

const names = ["network", "capture", "queue", "handoff", "infer", "publish"];
const words = { capture: "decode", queue: "wait", publish: "answer", total: "round trip" };
const kept = 30;
const freshMs = 2000;

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

export class RoundTrip {
  constructor() {
    this.stages = new Stages(names, ["mean", "most"], words);
    this.trips = [];
  }

  add(latency, roundTripMs) {
    const network = Math.max(0, roundTripMs - latency.total);
    this.trips.push({ ...latency, network, total: network + latency.total, at: now() });
    if (this.trips.length > kept) this.trips.shift();
  }

  clear() { this.trips = []; }

  /** Answers a second, 0 when none comes any more; null before there are two. */
  get rate() {
    const [first, last] = [this.trips[0], this.trips[this.trips.length - 1]];
    if (this.trips.length < 2) return null;
    if (now() - last.at > freshMs) return 0;
    return (1000 * (this.trips.length - 1)) / (last.at - first.at);
  }

  /** Milliseconds, null before the first answer. */
  get meanMs() { return this.trips.length ? mean(this.trips.map((trip) => trip.total)) : null; }

  show() {
    const figures = (name) => {
      const values = this.trips.map((trip) => trip[name]);
      return values.length ? { mean: mean(values), most: Math.max(...values) } : {};
    };
    this.stages.show(Object.fromEntries([...names, "total"].map((name) => [name, figures(name)])));
  }
}

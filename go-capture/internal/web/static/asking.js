// SPDX-License-Identifier: Apache-2.0
// Pictures to the device and its answers back, over one WebSocket that comes back by itself. The newest picture wins: no more are
// under way than the device can use.
import { now } from "./clock.js";
import { hangUp, isComing } from "./socket.js";
import { WhyNot } from "./whynot.js";

const address = "/api/v1/detect/stream";
const retryMs = { first: 500, most: 8000 };
const near = 4; // a device is near when it takes so many times as long as the way there and back
const restMs = 1000; // after a refusal
const patienceMs = { first: 10_000, most: 60_000 }; // with a connection on which nothing moves; what is sent may lie in buffers out of sight
const tooBusy = new Set([429, 503, 504]); // the same picture may be taken later
const slowLink = ["The connection to the device may be too slow", "The picture is sent again by itself, each time with more patience."];

export class Asking {
  /**
   * Calls `answered(answer, picture, roundTripMs)` for each answer, `again(picture)` for one that may be sent again,
   * and `told` with [what, remedy], or null when all is well.
   */
  constructor({ answered, again, told }) {
    Object.assign(this, { answered, again, told });
    this.waitMs = retryMs.first;
    this.patienceMs = patienceMs.first;
    this.whyNot = new WhyNot();
    this.away = false; // whether it was told that there is no connection
    this.restsUntil = 0;
    this.credit = 1; // how many pictures may be under way
    this.underWay = new Map();
    this.unsent = 0; // bytes that the browser still holds
    this.movedAt = 0; // when they last became fewer, or a connection was begun
  }

  /** Wants to be connected, or not. */
  want(on) {
    if (on === Boolean(this.wanted)) return;
    this.wanted = on;
    if (!on) this.tellAway(null);
    this.open();
  }

  /** Whether the device takes a picture now. */
  get free() {
    return this.socket?.readyState === WebSocket.OPEN && this.underWay.size < this.credit && now() >= this.restsUntil;
  }

  send(blob, picture) {
    this.underWay.set(this.index, { picture, sentAt: now() });
    this.index += 1;
    this.socket.send(blob);
  }

  open() {
    this.close();
    if (!this.wanted) return;
    const socket = new WebSocket(location.origin.replace(/^http/, "ws") + address);
    this.socket = socket;
    socket.onopen = () => this.stands();
    socket.onmessage = ({ data }) => socket === this.socket && this.take(JSON.parse(data));
    socket.onclose = () => socket === this.socket && this.lost();
  }

  close() {
    clearTimeout(this.timer);
    const old = this.socket;
    this.socket = null;
    this.index = 0;
    this.unsent = 0;
    this.movedAt = now();
    hangUp(old);
    const left = [...this.underWay.values()];
    this.underWay.clear();
    for (const { picture } of left) this.again(picture);
  }

  take(answer) {
    for (const index of answer.dropped_frames) this.underWay.delete(index);
    const { picture, sentAt } = this.underWay.get(answer.frame);
    this.underWay.delete(answer.frame);
    this.waitMs = retryMs.first;
    this.patienceMs = patienceMs.first;
    if (answer.problem) return this.refused(answer.problem, picture);
    const roundTripMs = now() - sentAt;
    this.learn(answer.latency_ms.total, roundTripMs);
    this.told(null);
    this.answered(answer, picture, roundTripMs);
  }

  /** One picture may travel while another is looked at. At a near device it would only wait, and a third one would replace it. */
  learn(deviceMs, roundTripMs) {
    this.credit = near * (roundTripMs - deviceMs) > deviceMs ? 2 : 1;
  }

  refused({ status, title, detail }, picture) {
    this.told([title, detail]);
    this.restsUntil = now() + restMs;
    if (tooBusy.has(status)) this.again(picture);
  }

  stands() {
    this.whyNot.stands();
    this.tellAway(null);
  }

  /** Takes back only what it told: what the device said of a picture holds without a connection too. */
  tellAway(why) {
    if (why || this.away) this.told(why);
    this.away = Boolean(why);
  }

  async lost() {
    this.close();
    this.timer = setTimeout(() => this.open(), this.waitMs);
    this.waitMs = Math.min(2 * this.waitMs, retryMs.most);
    const why = await this.whyNot.of(address);
    if (why && this.wanted && this.socket?.readyState !== WebSocket.OPEN) this.tellAway(why);
  }

  /** Opens a connection anew that is dead without having said so, with more patience each time. */
  check() {
    this.look();
    if (now() - this.waitsSince < this.patienceMs) return;
    const stood = !isComing(this.socket);
    if (stood && this.patienceMs > patienceMs.first) this.told(slowLink);
    this.patienceMs = Math.min(2 * this.patienceMs, patienceMs.most);
    this.socket.close(); // at once: it may hold up the next
    if (stood) this.open();
    else this.lost();
  }

  /** Since when a connection or an answer is due and nothing has moved; never where neither is. */
  get waitsSince() {
    if (isComing(this.socket)) return this.movedAt;
    const [oldest] = this.underWay.values();
    return oldest ? Math.max(oldest.sentAt, this.movedAt) : Infinity;
  }

  /** A connection on which a picture travels slowly is not dead. */
  look() {
    const unsent = this.socket?.bufferedAmount ?? 0;
    if (unsent < this.unsent) this.movedAt = now();
    this.unsent = unsent;
  }
}

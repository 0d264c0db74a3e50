// SPDX-License-Identifier: Apache-2.0
// The pictures of one camera over a WebSocket: it comes back by itself, and each picture is acknowledged when it is shown.
import { now } from "./clock.js";
import { hangUp, isComing } from "./socket.js";
import { WhyNot } from "./whynot.js";

const patienceMs = { first: 5000, most: 60_000 }; // with a connection that stands and brings nothing; over a slow one a picture takes long
const retryMs = { first: 500, most: 8000 };
const freshMs = 2000; // a picture that was shown so recently may still be looked at
const picturesAhead = 2; // one is decoded while the next one travels
const starvedMost = 2; // connections in a row that ended before a picture was through
const starvedMs = 4000; // for which the device has had one: it waits five seconds for one to be through
const steadyMs = { first: 60_000, most: 3_600_000 }; // of pictures, before larger ones are tried again

/** Few widths, so that viewers share what is encoded. */
export const widths = [160, 320, 480, 640, 960, 1280, 1920];

export class Live {
  /** `show(bitmap, detections)` is called for each picture; detections are null where nobody looked for faces. */
  constructor(id, show) {
    this.address = `${location.origin}/api/v1/cameras/${encodeURIComponent(id)}/live`;
    this.show = show;
    this.waitMs = retryMs.first;
    this.patienceMs = patienceMs.first;
    this.pauseMs = 0; // for which a healthy camera may give no picture
    this.whyNot = new WhyNot();
    this.why = null; // [what, remedy] where no connection stood
    this.shownAt = -Infinity;
    this.view = null;
    this.starved = 0;
    this.smaller = 0; // by so many widths than wanted, as the connection carries no larger picture
    this.steadyMs = steadyMs.first;
  }

  /** Wants pictures of this width and rate, or none: null. The old picture stays until a new one comes. */
  want(view) {
    this.view = view;
    const query = this.question();
    if (query === this.query) return;
    if (!this.query) this.resume();
    this.query = query;
    this.open();
  }

  question() {
    if (!this.view) return null;
    const width = widths[Math.max(0, widths.indexOf(this.view.width) - this.smaller)];
    return new URLSearchParams({ ...this.view, width, ahead: picturesAhead }).toString();
  }

  /** A connection that stood has ended. Where it brought no picture, they may be too large for it. */
  ended() {
    const starved = this.shown === 0 && this.unshownMs > starvedMs; // a camera that is away has had none to send
    this.starved = starved ? this.starved + 1 : 0;
    if (this.starved < starvedMost || !this.view || this.smaller >= widths.indexOf(this.view.width)) return;
    this.starved = 0;
    this.smaller++;
    this.query = this.question();
  }

  /** Pictures have come for long: larger ones may, too. */
  grow() {
    this.smaller--;
    this.steadyMs = Math.min(2 * this.steadyMs, steadyMs.most);
    this.want(this.view);
  }

  /** Only a picture from now on is one of now. */
  resume() {
    this.wantedAt = this.waitsSince = now();
  }

  open() {
    this.close();
    if (!this.query) return;
    const socket = new WebSocket(`${this.address.replace(/^http/, "ws")}?${this.query}`);
    this.socket = socket;
    this.stood = false;
    socket.onopen = () => {
      this.stood = true;
      this.whyNot.stands();
      this.stoodAt = now();
    };
    let detections = null;
    let number = 0;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        detections = JSON.parse(data);
        return;
      }
      this.take(socket, data, { number: ++number, detections });
      detections = null;
    };
    socket.onclose = () => this.retry(socket);
  }

  close() {
    clearTimeout(this.timer);
    const old = this.socket;
    this.socket = null;
    this.shown = 0;
    this.cameAt = now();
    hangUp(old);
  }

  async retry(socket) {
    if (socket !== this.socket) return;
    if (this.stood) this.ended();
    this.timer = setTimeout(() => this.open(), this.waitMs);
    this.waitMs = Math.min(2 * this.waitMs, retryMs.most);
    const why = this.stood ? null : await this.whyNot.of(`${this.address}?${this.query}`);
    if (this.shown === 0) this.why = why;
  }

  /** Opens a connection anew that is dead without having said so, with more patience each time. Where none is `due`, one that stands is silent. */
  check(due) {
    const patientMs = Math.max(this.patienceMs, this.pauseMs);
    if (!this.query || now() - this.cameAt < patientMs) return;
    if (!due && !isComing(this.socket)) return;
    this.patienceMs = Math.min(2 * patientMs, patienceMs.most);
    this.socket?.close(); // at once: it may hold up those of all cameras
    this.open();
  }

  async take(socket, data, picture) {
    try {
      const bitmap = await createImageBitmap(data);
      if (socket === this.socket && picture.number > this.shown) this.came(bitmap, picture);
      bitmap.close();
    } catch {
      // A damaged picture: the next one comes soon, and the age says so if it does not.
    }
    if (socket.readyState === WebSocket.OPEN) socket.send("");
  }

  came(bitmap, { number, detections }) {
    this.shown = number;
    this.cameAt = this.shownAt = this.waitsSince = now();
    this.waitMs = retryMs.first;
    this.patienceMs = patienceMs.first;
    this.why = null;
    this.show(bitmap, detections);
    if (this.smaller > 0 && this.cameAt - this.stoodAt > this.steadyMs) this.grow();
  }

  /** Whether pictures are wanted again and none has come: the one that is shown may be hours old. */
  get stale() {
    return Boolean(this.query) && this.wantedAt - this.shownAt > freshMs;
  }

  /** Neither what is shown nor what is under way is a picture of this camera any more. */
  forget() {
    this.shownAt = -Infinity;
    this.open();
  }

  /** How long one has been wanted and none was shown, whatever became of connections. */
  get unshownMs() {
    return this.query ? now() - this.waitsSince : 0;
  }
}

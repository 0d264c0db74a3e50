// SPDX-License-Identifier: Apache-2.0
// The browser's own camera: opened, rested, handed over, and why there is none.
import { now } from "./clock.js";

const wanted = { width: { ideal: 1280 }, height: { ideal: 720 } };
const sentSide = 640; // the network sees no more of a whole picture
const quality = 0.8;
const firstMs = 10_000; // a camera that has given no picture by then gives none: it wakes in a second or two
const silentMs = 2000;

const noCamera = ["This browser finds no camera", "Connect one and start again, or choose a picture."];
/** A cover, a switch or another program can end a camera's pictures without ending the camera. */
export const silentCamera = ["The camera gives no pictures",
  "Look whether it is covered or switched off, or whether another program has it; or choose another camera, or a picture."];
const whyRefused = {
  NotAllowedError: ["The browser does not lend its camera",
    "You or a rule refused it. Allow the camera for this page (the sign beside the address, or the system's settings), then start again."],
  NotFoundError: noCamera,
  OverconstrainedError: noCamera,
  TimeoutError: silentCamera,
  NotReadableError: ["The camera cannot be read", "Another program may have it. Close that, or unplug the camera and plug it in again, then start again."],
};

/** [what, remedy] of what getUserMedia throws. */
export const refusalOf = (error) => whyRefused[error.name] ?? ["The camera does not start", `The browser says: ${error.message || error.name}.`];

/** [what, remedy] when the browser has no camera for this page at all, else null. */
export function lacking() {
  if (!isSecureContext) {
    return ["The browser lends its camera only over HTTPS, or to localhost",
      `This page came over ${location.protocol.slice(0, -1).toUpperCase()} from ${location.hostname}. Start the device with “visavis serve --https”, ` +
      "or set web.https = true, and open the page with https://. A picture can be tried without that."];
  }
  return navigator.mediaDevices?.getUserMedia ? null : ["This browser has no camera for pages", "Try another browser, or choose a picture."];
}

/** One time for which a camera is open; the next time, or another camera, is another one. */
export class Lens {
  /**
   * Shows in `video` the camera that faces the user, or the next one `after` another, which ends. Calls `seen()` for each picture, and
   * `gone(lens)` when it goes away by itself.
   */
  constructor(video, { after, seen, gone }) {
    Object.assign(this, { video, after, seen, gone });
    this.small = document.createElement("canvas");
    this.rest = () => {
      if (this.track) this.track.enabled = !document.hidden;
      this.seenAt = now(); // a camera that rested is not silent
    };
    this.seenAt = now();
    this.due = false;
    this.closed = false;
    this.others = false; // whether there are other cameras
  }

  get track() { return this.stream?.getVideoTracks()[0]; }
  get size() { return [this.video.videoWidth, this.video.videoHeight]; }

  /** A picture of oneself is shown as in a mirror. */
  get mirrored() { return this.track?.getSettings().facingMode === "user"; }

  /** [what, remedy] of what `open` throws. */
  refusal(error) { return refusalOf(error); }

  /** Throws what getUserMedia throws, and something else when it is closed meanwhile. */
  async open() {
    const choice = this.after ? await this.after.next() : { facingMode: "user" };
    if (this.closed) return;
    this.after?.close(); // a phone opens one at a time
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...wanted, ...choice } });
    if (this.closed) return this.close(); // the browser may ask for a permission for minutes
    this.track.onended = () => this.gone(this);
    this.restWhileHidden();
    this.video.srcObject = this.stream;
    const [, found] = await Promise.all([this.firstPicture(), cameras()]);
    this.others = found.length > 1;
    this.watch();
  }

  /** Fails when none comes: then play() waits for ever. */
  firstPicture() {
    const none = new Promise((_, fail) => { setTimeout(() => fail(new DOMException("", "TimeoutError")), firstMs); });
    return Promise.race([this.video.play(), none]);
  }

  /** Whether what is shown is of before. Browsers that do not tell of each picture (Firefox before 132) never know. */
  get silent() { return !this.closed && !document.hidden && now() - this.seenAt > silentMs; }

  close() {
    this.closed = true;
    this.due = false;
    this.track?.stop();
    document.removeEventListener("visibilitychange", this.rest);
    if (this.stream && this.video.srcObject === this.stream) this.video.srcObject = null;
  }

  /** How to choose the other side's camera of a phone, or the next one of many. */
  async next() {
    const { facingMode, deviceId } = this.track.getSettings();
    if (facingMode) return { facingMode: facingMode === "user" ? "environment" : "user" };
    const ids = (await cameras()).map((one) => one.deviceId);
    return { deviceId: { exact: ids[(ids.indexOf(deviceId) + 1) % ids.length] } };
  }

  /** A hidden page needs no camera; in many browsers its light goes off too. */
  restWhileHidden() {
    this.rest(); // it may have been hidden since
    document.addEventListener("visibilitychange", this.rest);
  }

  /** Tells of each new picture until the camera is closed. */
  watch() {
    const wait = this.video.requestVideoFrameCallback?.bind(this.video) ?? requestAnimationFrame;
    const look = () => {
      if (this.closed) return;
      this.due = true;
      this.seenAt = now();
      this.seen();
      wait(look);
    };
    wait(look);
  }

  encode() {
    const [width, height] = this.size;
    const scale = Math.min(1, sentSide / Math.max(width, height));
    this.small.width = Math.round(width * scale);
    this.small.height = Math.round(height * scale);
    this.small.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, this.small.width, this.small.height);
    return new Promise((done) => { this.small.toBlob(done, "image/jpeg", quality); });
  }
}

async function cameras() {
  return (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
}

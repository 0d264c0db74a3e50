// SPDX-License-Identifier: Apache-2.0
// The browser's own camera: opened, switched, and why there is none.

const wanted = { width: { ideal: 1280 }, height: { ideal: 720 } };
const sentSide = 640; // the network sees no more of a whole picture
const quality = 0.8;

const noCamera = ["This browser finds no camera", "Connect one and start again, or choose a picture."];
const whyRefused = {
  NotAllowedError: ["The browser does not lend its camera",
    "You or a rule refused it. Allow the camera for this page (the sign beside the address, or the system's settings), then start again."],
  NotFoundError: noCamera,
  OverconstrainedError: noCamera,
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

export class Lens {
  /** Shows the camera in `video`; `ended` is called when it goes away by itself. */
  constructor(video, ended) {
    this.video = video;
    this.ended = ended;
    this.small = document.createElement("canvas");
    this.due = false;
  }

  get track() { return this.stream?.getVideoTracks()[0]; }
  get size() { return [this.video.videoWidth, this.video.videoHeight]; }

  /** A picture of oneself is shown as in a mirror. */
  get mirrored() { return this.track?.getSettings().facingMode === "user"; }

  /** Opens the camera; throws what getUserMedia throws. */
  async open(choice = { facingMode: "user" }) {
    this.close();
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...wanted, ...choice } });
    this.track.onended = this.ended;
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  close() {
    this.track?.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.due = false;
  }

  /** Opens the other side's camera of a phone, or the next one of many. */
  async next() {
    const { facingMode, deviceId } = this.track.getSettings();
    if (facingMode) return this.open({ facingMode: facingMode === "user" ? "environment" : "user" });
    const ids = (await cameras()).map((one) => one.deviceId);
    return this.open({ deviceId: { exact: ids[(ids.indexOf(deviceId) + 1) % ids.length] } });
  }

  /** A hidden page needs no camera; in many browsers its light goes off too. */
  rest(hidden) {
    if (this.track) this.track.enabled = !hidden;
  }

  /** Calls `seen` for each new picture until the camera is closed. */
  watch(seen) {
    const stream = this.stream;
    const wait = this.video.requestVideoFrameCallback?.bind(this.video) ?? requestAnimationFrame;
    const look = () => {
      if (stream !== this.stream) return;
      this.due = true;
      seen();
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

export async function cameras() {
  return (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
}

// SPDX-License-Identifier: Apache-2.0
// A picture that somebody chose. It is sent upright, no larger than needed, and without what its file tells beside, such as the place.

const mostSide = 1920;
const quality = 0.92;

const unreadable = ["This is no picture that the browser can read", "Choose a JPEG, PNG or WebP."];

export class Still {
  constructor(file) {
    this.file = file;
    this.canvas = document.createElement("canvas");
    this.due = false;
    this.closed = false;
  }

  get size() { return [this.canvas.width, this.canvas.height]; }

  /** [what, remedy] of whatever `open` throws. */
  refusal() { return unreadable; }

  /** Reads the file; throws when the browser cannot show it as a picture. */
  async open() {
    const bitmap = await createImageBitmap(this.file);
    const scale = Math.min(1, mostSide / Math.max(bitmap.width, bitmap.height));
    this.canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    this.canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const pen = this.canvas.getContext("2d", { alpha: false });
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    bitmap.close();
    this.due = true;
  }

  close() { this.closed = true; }

  encode() {
    return new Promise((done) => { this.canvas.toBlob(done, "image/jpeg", quality); });
  }
}

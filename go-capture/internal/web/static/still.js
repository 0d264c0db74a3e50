// SPDX-License-Identifier: Apache-2.0
// A picture that somebody chose. It is sent upright, no larger than needed, and without what its file tells beside, such as the place.

const mostSide = 1920;
const quality = 0.92;

export class Still {
  constructor(bitmap) {
    const scale = Math.min(1, mostSide / Math.max(bitmap.width, bitmap.height));
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    this.canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const pen = this.canvas.getContext("2d", { alpha: false });
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    this.due = true;
  }

  get size() { return [this.canvas.width, this.canvas.height]; }

  encode() {
    return new Promise((done) => { this.canvas.toBlob(done, "image/jpeg", quality); });
  }
}

/** Reads a file; null when the browser cannot show it as a picture. */
export async function readStill(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const still = new Still(bitmap);
    bitmap.close();
    return still;
  } catch {
    return null;
  }
}

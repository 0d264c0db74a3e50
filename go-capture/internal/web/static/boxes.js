// SPDX-License-Identifier: Apache-2.0
// Faces on a canvas: seen on every picture, and as thick on a phone as on a wall.

const boxPx = 2;
const dark = "rgb(0 0 0 / .55)";
const light = "#5ff0d8";

/** Pixels of the canvas in one of the screen, 1 at least. */
export const grain = (canvas) => Math.max(1, canvas.width / (canvas.clientWidth || canvas.width));

/** Draws the boxes, and landmarks where `landmarks` asks for them, of a picture `width` pixels wide. */
export function drawFaces(pen, { faces, width }, landmarks = false) {
  const scale = pen.canvas.width / width;
  const thick = boxPx * grain(pen.canvas);
  for (const [style, more] of [[dark, 2 * thick], [light, 0]]) {
    pen.strokeStyle = style;
    pen.lineWidth = thick + more;
    for (const { box: [x, y, w, h] } of faces) pen.strokeRect(x * scale, y * scale, w * scale, h * scale);
  }
  if (landmarks) faces.forEach((face) => drawPoints(pen, face.landmarks ?? [], { scale, radius: thick }));
}

function drawPoints(pen, points, { scale, radius }) {
  for (const [style, more] of [[dark, radius], [light, 0]]) {
    pen.fillStyle = style;
    for (const [x, y] of points) {
      pen.beginPath();
      pen.arc(x * scale, y * scale, radius + more, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

# SPDX-License-Identifier: Apache-2.0
"""CenterFace: a heat map of faces' middles at a quarter of the picture's size; size, offset and landmarks there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from visavis.detections import Detections, no_detections
from visavis.errors import DetectorError
from visavis.families.nms import nms

STRIDE = 4
# Channels of the outputs, in the model's order: heat map, log of height and width, offset y and x, landmarks (y, x).
CHANNELS = (1, 2, 2, 10)

Floats = npt.NDArray[np.float32]


def decode(outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float) -> Detections:
    """Turn the model's outputs into faces.

    Args:
        outputs: (1, c, rows, columns) float32 each, c as in CHANNELS.
        input_size: width and height of the network's input, pixels.
        score: least score of a face, exclusive.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (n,) detections in pixels of the input, best first; places where the model is not finite are left out.

    Raises:
        DetectorError: the outputs have other shapes.
    """
    heat, size, offset, points = _checked(outputs)
    rows, columns = np.nonzero(heat[0] > score)
    scores = heat[0, rows, columns]
    at = np.stack([columns, rows], axis=1).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        sides = np.exp(size[::-1, rows, columns].T) * STRIDE
        limit = np.array(input_size, np.float32)
        corner = (at + offset[::-1, rows, columns].T + 0.5) * STRIDE - sides / 2
        corner = np.clip(corner, 0, limit)
        far = np.minimum(corner + sides, limit)
        marks = points[:, rows, columns].reshape(5, 2, -1)[:, ::-1].transpose(2, 0, 1)
        marks = marks * sides[:, None] + corner[:, None]
    boxes = np.concatenate([corner, far], axis=1)
    return _survivors(boxes, scores, marks, iou)


def _checked(outputs: Sequence[Floats]) -> list[Floats]:
    shapes = [tuple(output.shape) for output in outputs]
    good = len(shapes) == len(CHANNELS) and all(len(shape) == 4 for shape in shapes)
    expected = [(1, channels, *shapes[0][2:]) for channels in CHANNELS] if good else []
    if not good or shapes != expected:
        raise DetectorError(f"a CenterFace answered outputs of shapes {shapes}", f"they must have {CHANNELS} channels")
    return [output[0] for output in outputs]


def _survivors(boxes: Floats, scores: Floats, marks: Floats, iou: float) -> Detections:
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & np.isfinite(marks).all(axis=(1, 2))
    boxes, scores, marks = boxes[finite], scores[finite], marks[finite]
    kept = nms(boxes, scores, iou)
    found = no_detections(kept.size)
    found["x1"], found["y1"], found["x2"], found["y2"] = boxes[kept].T
    found["score"] = scores[kept]
    found["landmarks"] = marks[kept]
    return found

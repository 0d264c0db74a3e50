# SPDX-License-Identifier: Apache-2.0
"""The last step of every family: from candidates to the faces that are answered."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from visavis.detections import Detections, no_detections
from visavis.families.family import Floats
from visavis.families.nms import nms
from visavis.ring_gen import DetectionFlag

# No box of a real picture is farther out; what a broken model says is brought in, so that areas stay finite.
FAR = 1e5


def faces_of(boxes: Floats, scores: Floats, marks: Floats | None, limit: tuple[int, int], iou: float) -> Detections:
    """Keep the best of the candidates that overlap, inside the picture.

    Args:
        boxes: (n, 4) x1, y1, x2, y2, pixels of the input.
        scores: (n,), brought into 0..1.
        marks: (n, 5, 2) x, y, pixels; None for a family without landmarks.
        limit: width and height of the input, pixels.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (m,) detections, best first; candidates that are not finite or not in the picture are left out.
    """
    boxes, scores, marks = _finite(boxes, scores, marks)
    boxes = _between(boxes, -FAR, FAR)
    kept = nms(boxes, scores, iou)
    boxes = _between(boxes[kept], 0, (*limit, *limit))
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not inside.all():
        boxes, kept = boxes[inside], kept[inside]
    found = no_detections(len(kept))
    found["x1"], found["y1"], found["x2"], found["y2"] = boxes.T
    found["score"] = _between(scores[kept], 0, 1)
    if marks is not None:
        found["landmarks"] = _between(marks[kept], -FAR, FAR)
        found["flags"] = int(DetectionFlag.LANDMARKS)
    return found


def _finite(boxes: Floats, scores: Floats, marks: Floats | None) -> tuple[Floats, Floats, Floats | None]:
    """Those candidates whose numbers are all finite."""
    every = (boxes, scores) if marks is None else (boxes, scores, marks)
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum is finite when all numbers are; it also grows beyond all bounds now and then when they are.
        if all(np.isfinite(part.sum()) for part in every):
            return boxes, scores, marks
    finite = np.logical_and.reduce([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in every])
    return boxes[finite], scores[finite], None if marks is None else marks[finite]


def _between(values: Floats, least: float, most: float | tuple[int, ...]) -> Floats:
    """As np.clip, which takes three times as long for a few numbers."""
    return np.asarray(np.minimum(np.maximum(values, least), np.asarray(most, values.dtype)))


@lru_cache(maxsize=16)
def places(rows: int, columns: int) -> Floats:
    """The (rows x columns, 2) x, y of a map's places, row after row; read-only, made once for a size."""
    y, x = np.mgrid[:rows, :columns]
    made = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    made.setflags(write=False)
    return made

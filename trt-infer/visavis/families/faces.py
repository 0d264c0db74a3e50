# SPDX-License-Identifier: Apache-2.0
"""The last step of every family: from candidates to the faces that are answered."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from visavis.detections import SIDES, Detections, no_detections
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
    boxes, scores, marks = _sound(boxes, scores, marks)
    kept = nms(boxes, scores, iou)
    boxes = _between(boxes[kept], 0, np.array([*limit, *limit], np.float32))
    real = boxes[:, 2:] > boxes[:, :2]
    if not real.all():
        inside = real.all(axis=1)
        boxes, kept = boxes[inside], kept[inside]
    found = no_detections(len(kept))
    found.view(SIDES)["sides"] = boxes
    found["score"] = _between(scores[kept], 0, 1)
    if marks is not None:
        found["landmarks"] = marks[kept]
        found["flags"] = int(DetectionFlag.LANDMARKS)
    return found


def _sound(boxes: Floats, scores: Floats, marks: Floats | None) -> tuple[Floats, Floats, Floats | None]:
    """Those candidates whose numbers are all finite, no place farther out than FAR."""
    every = (boxes, scores) if marks is None else (boxes, scores, marks)
    # One look at all is nearly always enough; what is not a number is not within either.
    if not len(scores) or all(float(np.abs(part).max()) <= FAR for part in every):
        return boxes, scores, marks
    finite = np.logical_and.reduce([np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in every])
    marks = None if marks is None else _between(marks[finite], -FAR, FAR)
    return _between(boxes[finite], -FAR, FAR), scores[finite], marks


def _between(values: Floats, least: float, most: float | Floats) -> Floats:
    """As np.clip, which takes three times as long for a few numbers."""
    inside: Floats = np.maximum(values, least)
    return np.minimum(inside, most, out=inside)


@lru_cache(maxsize=16)
def places(rows: int, columns: int) -> Floats:
    """The (rows x columns, 2) x, y of a map's places, row after row; read-only, made once for a size."""
    y, x = np.mgrid[:rows, :columns]
    made = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    made.setflags(write=False)
    return made

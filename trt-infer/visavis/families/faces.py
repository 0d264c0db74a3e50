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
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if marks is not None:
        finite &= np.isfinite(marks).all(axis=(1, 2))
    boxes, scores = np.clip(boxes[finite], -FAR, FAR), np.clip(scores[finite], 0, 1)
    kept = nms(boxes, scores, iou)
    boxes = np.clip(boxes[kept], 0, [*limit, *limit])
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    found = no_detections(int(inside.sum()))
    found["x1"], found["y1"], found["x2"], found["y2"] = boxes[inside].T
    found["score"] = scores[kept][inside]
    if marks is not None:
        found["landmarks"] = np.clip(marks[finite][kept][inside], -FAR, FAR)
        found["flags"] = DetectionFlag.LANDMARKS
    return found


@lru_cache(maxsize=16)
def places(rows: int, columns: int) -> Floats:
    """The (rows x columns, 2) x, y of a map's places, row after row; read-only, made once for a size."""
    y, x = np.mgrid[:rows, :columns]
    made = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    made.setflags(write=False)
    return made

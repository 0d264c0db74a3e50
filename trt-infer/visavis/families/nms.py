# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression: of boxes that overlap, only the best stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# More candidates than this come only from a broken model or a hostile picture; the best are kept.
MOST_CANDIDATES = 4096


def nms(boxes: Floats, scores: Floats, iou: float) -> npt.NDArray[np.intp]:
    """Return the indices of the boxes that stay, best score first.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        iou: a box goes when it overlaps a better one by at least this much (intersection over union).
    """
    left = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        overlap = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        shared = np.clip(overlap, 0, None).prod(axis=1)
        union = areas[best] + areas[left] - shared
        left = left[shared < iou * np.maximum(union, np.finfo(np.float32).tiny)]
    return np.array(kept, dtype=np.intp)

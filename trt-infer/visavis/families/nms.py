# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression: of boxes that overlap, only the best stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# More candidates than this come only from a broken model or a hostile picture; the best are kept.
MOST_CANDIDATES = 4096
# So many are compared all with all at once, which costs less than one after another until the table gets large.
TABLE = 256


def nms(boxes: Floats, scores: Floats, iou: float) -> npt.NDArray[np.intp]:
    """Return the indices of the boxes that stay, best score first.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        iou: a box goes when it overlaps a better one by at least this much (intersection over union).
    """
    left = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    kept: list[int] = []
    while left.size > TABLE:
        best, left = left[:1], left[1:]
        kept.append(int(best[0]))
        left = left[~_covers(boxes[best], boxes[left], iou)[0]]
    chosen = boxes[left]
    apart = ~_covers(chosen, chosen, iou)
    free = np.ones(left.size, bool)
    for index, number in enumerate(left.tolist()):
        if free[index]:
            kept.append(number)
            free &= apart[index]
    return np.array(kept, dtype=np.intp)


def _covers(some: Floats, others: Floats, iou: float) -> npt.NDArray[np.bool_]:
    """Which of (n, 4) boxes overlap which of (m, 4) others by at least `iou`: (n, m)."""
    # Each side by itself: NumPy is slow where the last axis has two numbers.
    mine, theirs = np.ascontiguousarray(some.T)[:, :, None], np.ascontiguousarray(others.T)
    shared = _common(mine, theirs, 0) * _common(mine, theirs, 1)
    union = _areas(some)[:, None] + _areas(others) - shared
    return np.asarray(shared >= iou * np.maximum(union, np.finfo(np.float32).tiny))


def _common(mine: Floats, theirs: Floats, side: int) -> Floats:
    """How far boxes overlap in x (side 0) or y (side 1); (4, n, 1) and (4, m): (n, m)."""
    common: Floats = np.minimum(mine[side + 2], theirs[side + 2])
    common -= np.maximum(mine[side], theirs[side])
    np.maximum(common, 0, out=common)
    return common


def _areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))

# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression as a textbook has it, to judge ours by."""

from __future__ import annotations

import numpy as np
from visavis.models.accuracy import overlaps

from tests.arrays import Array


def best_apart(boxes: Array, scores: Array, most: float) -> list[int]:
    """Indices of the (n, 4) boxes that overlap no better one by `most` or more, best first."""
    left = np.argsort(-scores, kind="stable").tolist()
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [other for other in left if overlaps(boxes[best], boxes[[other]])[0] < most]
    return kept

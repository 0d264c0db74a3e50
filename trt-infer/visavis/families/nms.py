# SPDX-License-Identifier: Apache-2.0
"""Non-maximum suppression: of boxes that overlap, only the best stays.

Plain Python on purpose. A picture has some dozens of candidates, and after inference the processor's caches hold none
of NumPy's code: each of its functions then takes longer than all that is done here with ten of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

Box = tuple[float, float, float, float, float]  # x1, y1, x2, y2, and a share of its area
# With more boxes than this, it pays to look for those that are near.
FEW = 16


class Apart:
    """Boxes of which no two overlap by `iou` (intersection over union) or more; give it the best ones first."""

    def __init__(self, iou: float) -> None:
        # With this the intersection is compared with the sum of two areas, not with the union.
        self._share = iou / (1 + iou)
        # From left to right.
        self._lefts: list[float] = []
        self._boxes: list[Box] = []
        self._widest = 0.0

    def covers(self, x1: float, y1: float, x2: float, y2: float) -> bool:
        """Tell whether one of them overlaps this box by that much."""
        boxes = self._boxes
        if len(boxes) > FEW:
            boxes = self._near(x1, x2)
        wanted = self._share * (x2 - x1) * (y2 - y1)
        for left, top, right, bottom, share in boxes:
            if x1 < right and x2 > left and y1 < bottom and y2 > top:
                wide = (x2 if x2 < right else right) - (x1 if x1 > left else left)
                high = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)
                if wide * high >= wanted + share:
                    return True
        return False

    def add(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Take one more box, which none of them covers."""
        at = bisect_right(self._lefts, x1)
        self._lefts.insert(at, x1)
        self._boxes.insert(at, (x1, y1, x2, y2, self._share * (x2 - x1) * (y2 - y1)))
        self._widest = max(self._widest, x2 - x1)

    def _near(self, x1: float, x2: float) -> list[Box]:
        """Those that may reach into the columns from x1 to x2."""
        return self._boxes[bisect_left(self._lefts, x1 - self._widest) : bisect_left(self._lefts, x2)]

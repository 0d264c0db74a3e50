# SPDX-License-Identifier: Apache-2.0
"""What every family begins and ends with: from scores to places, from boxes to the faces that are answered.

Plain Python on purpose. A picture has some dozens of candidates, and after inference the processor's caches hold none
of NumPy's code: each of its functions then takes longer than all that is done here with ten of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from math import inf, isfinite
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from visavis.detections import Detections, packed
from visavis.families.family import Floats
from visavis.ring_gen import DetectionFlag

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the input
NO_MARKS = (0.0,) * 10
LANDMARKS = int(DetectionFlag.LANDMARKS)
T = TypeVar("T", bound=tuple[Any, ...])
# More candidates than this come only from a broken model or a hostile picture; the best are kept.
MOST_CANDIDATES = 4096
# With more faces than this, it pays to look for those that are near.
FEW = 16
# Pixels. What is narrower may have no width at all as float32, in which faces are answered.
LEAST_SIDE = 0.01
# No landmark of a real picture is farther out.
FAR = 1e5
_first = itemgetter(0)


def above(scores: Floats, least: float) -> list[int]:
    """Return where (n,) scores are greater than `least`: the best MOST_CANDIDATES places at most."""
    found = (scores > least).nonzero()[0]
    if found.size > MOST_CANDIDATES:
        best = np.argsort(-scores[found], kind="stable")[:MOST_CANDIDATES]
        found = found[best]
    places: list[int] = found.tolist()
    return places


def numbers_of(part: Floats) -> Sequence[float]:
    """The numbers of an output, one after another: a memoryview gives some of them sooner than NumPy does."""
    numbers: Sequence[float] = part.reshape(-1).data
    return numbers


def best_first(rows: Iterable[T]) -> list[T]:
    """Sort tuples by their first member, the score; of equal ones the first stays first."""
    return sorted(rows, key=_first, reverse=True)


class Faces:
    """The faces of one picture. Of boxes that overlap only the best stays, so they must come best first.

        faces = Faces((width, height), iou)
        for score, box, landmarks in best_first(candidates):
            if faces.takes(*box):
                faces.add(score, box, landmarks)
        return faces.detections()

    Args:
        limit: width and height of the input, pixels.
        iou: overlap, intersection over union, from which the weaker of two boxes goes.
    """

    __slots__ = ("_boxes", "_height", "_rows", "_share", "_widest", "_width")

    def __init__(self, limit: tuple[int, int], iou: float) -> None:
        self._width, self._height = limit
        # With this the intersection is compared with the sum of two areas, not with the union.
        self._share = iou / (1 + iou)
        # From left to right, each with its share of its area.
        self._boxes: list[tuple[float, float, float, float, float]] = []
        self._widest = 0.0
        self._rows: list[tuple[float, ...]] = []

    def takes(self, x1: float, y1: float, x2: float, y2: float) -> bool:
        """Tell whether a box is finite and has an area, and none of those that were added overlaps it too much."""
        area = (x2 - x1) * (y2 - y1)
        if not 0 < area < inf:  # nor does this hold where one of the four is not a number
            return False
        wanted = self._share * area
        for left, top, right, bottom, share in self._boxes if len(self._boxes) <= FEW else self._near(x1, x2):
            if x1 < right and x2 > left and y1 < bottom and y2 > top:
                wide = (x2 if x2 < right else right) - (x1 if x1 > left else left)
                high = (y2 if y2 < bottom else bottom) - (y1 if y1 > top else top)
                if wide * high >= wanted + share:
                    return False
        return True

    def add(self, score: float, box: Box, marks: Sequence[float] | None) -> None:
        """Add a box that it takes, cut at the border; nothing where a number is not finite.

        Args:
            score: how sure the model is.
            box: x1, y1, x2, y2, pixels of the input.
            marks: x, y, x, y, ... of five landmarks; None where the family finds none.
        """
        points = NO_MARKS if marks is None else marks
        if not isfinite(score + sum(points)):
            return
        x1, y1, x2, y2 = box
        insort(self._boxes, (x1, y1, x2, y2, self._share * (x2 - x1) * (y2 - y1)))
        self._widest = max(self._widest, x2 - x1)
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, self._width), min(y2, self._height)
        if x2 - x1 > LEAST_SIDE and y2 - y1 > LEAST_SIDE:
            flags = 0 if marks is None else LANDMARKS
            self._rows.append((x1, y1, x2, y2, min(score, 1.0), 0, flags, *_brought_in(points)))

    def detections(self) -> Detections:
        """Return them, (n,), best first."""
        return packed(self._rows)

    def _near(self, x1: float, x2: float) -> list[tuple[float, float, float, float, float]]:
        """The boxes that may reach into the columns from x1 to x2."""
        return self._boxes[bisect_left(self._boxes, (x1 - self._widest,)) : bisect_left(self._boxes, (x2,))]


def _brought_in(points: Sequence[float]) -> Sequence[float]:
    """The same numbers, none farther out than FAR."""
    if min(points) >= -FAR and max(points) <= FAR:
        return points
    return [min(max(number, -FAR), FAR) for number in points]

# SPDX-License-Identifier: Apache-2.0
"""What every family begins and ends with: from scores to candidates, from candidates to the faces that are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf, isfinite
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np

from visavis.detections import Detections, packed
from visavis.families.family import Floats
from visavis.families.nms import Apart
from visavis.ring_gen import DetectionFlag

# score, x1, y1, x2, y2 in pixels of the input, and what the family needs to find its landmarks. Plain numbers: see nms.
Candidate = tuple[float, float, float, float, float, Any]
# candidate -> its ten numbers x, y, x, y, ...; pixels of the input
Marks = Callable[[Candidate], Sequence[float]]
NO_MARKS = (0.0,) * 10
LANDMARKS = int(DetectionFlag.LANDMARKS)
T = TypeVar("T", bound=tuple[Any, ...])
# More candidates than this come only from a broken model or a hostile picture; the best are kept.
MOST_CANDIDATES = 4096
# Pixels. What is narrower may have no width at all as float32, in which faces are answered.
LEAST_SIDE = 0.01
# No landmark of a real picture is farther out.
FAR = 1e5
_first = itemgetter(0)


def above(scores: Floats, least: float) -> list[int]:
    """Return where (n,) scores are greater than `least`: the best MOST_CANDIDATES places at most."""
    # As a number of the scores' own kind, which NumPy compares sooner.
    found = (scores > np.float32(least)).nonzero()[0]
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


def faces_of(candidates: Iterable[Candidate], marks: Marks | None, limit: tuple[int, int], iou: float) -> Detections:
    """Keep the best of the candidates that overlap, inside the picture.

    Args:
        candidates: best first. Made one by one, most are gone before the next one: memory that no cache holds is slow.
        marks: finds a candidate's landmarks; None for a family without.
        limit: width and height of the input, pixels.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (m,) detections, best first; candidates that are not finite or not in the picture are left out.
    """
    apart, found = Apart(iou), []
    flags = 0 if marks is None else LANDMARKS
    width, height = limit
    for candidate in candidates:
        score, x1, y1, x2, y2, _ = candidate
        # Neither holds where one of the four is not a number or infinite, nor for a box that is none.
        if not (0 < (x2 - x1) * (y2 - y1) < inf and score < inf) or apart.covers(x1, y1, x2, y2):
            continue
        points = NO_MARKS if marks is None else marks(candidate)
        if not isfinite(sum(points)):
            continue
        apart.add(x1, y1, x2, y2)
        box = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        if box[2] - box[0] > LEAST_SIDE and box[3] - box[1] > LEAST_SIDE:
            found.append((*box, min(score, 1.0), 0, flags, *_near(points)))
    return packed(found)


def _near(points: Sequence[float]) -> Sequence[float]:
    """The same numbers, none farther out than FAR."""
    if min(points) >= -FAR and max(points) <= FAR:
        return points
    return [min(max(number, -FAR), FAR) for number in points]

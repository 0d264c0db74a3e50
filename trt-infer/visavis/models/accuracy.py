# SPDX-License-Identifier: Apache-2.0
"""How well faces that were found match faces that people marked."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from visavis.detections import Detections, boxes_of

Floats = npt.NDArray[np.float32]
MATCH_IOU = 0.5


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """What was found among `labels` marked faces: `hits` of them, in `found` answers; area under the curve 0..1."""

    labels: int
    found: int
    hits: int
    average_precision: float

    @property
    def recall(self) -> float:
        """The share of marked faces that were found."""
        return self.hits / self.labels if self.labels else 0.0

    @property
    def precision(self) -> float:
        """The share of answers that are marked faces."""
        return self.hits / self.found if self.found else 0.0


def accuracy(pictures: Iterable[tuple[Detections, Floats]], score: float = 0.5) -> Accuracy:
    """Match faces one to one, best score first, over all pictures.

    Args:
        pictures: what was found (down to any score) and the marked faces, (n, 4) x1, y1, x2, y2, in the same pixels.
        score: answers below count for `average_precision` only.
    """
    scores: list[Floats] = [np.zeros(0, np.float32)]
    right: list[npt.NDArray[np.bool_]] = [np.zeros(0, bool)]
    labels = 0
    for found, marked in pictures:
        scores.append(found["score"])
        right.append(matched(found, marked))
        labels += len(marked)
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    good = all_scores > score
    return Accuracy(
        labels=labels,
        found=int(good.sum()),
        hits=int(all_right[good].sum()),
        average_precision=_area(all_right[np.argsort(-all_scores, kind="stable")], labels),
    )


def matched(found: Detections, marked: Floats) -> npt.NDArray[np.bool_]:
    """Which of (n,) detections, best first, are the first to match some marked face: (n,) bool."""
    free = np.ones(len(marked), bool)
    right = np.zeros(found.size, bool)
    for index, box in enumerate(boxes_of(found)):
        shares = np.where(free, overlaps(box, marked), 0)
        if free.any() and shares.max() >= MATCH_IOU:
            free[shares.argmax()] = False
            right[index] = True
    return right


def overlaps(box: Floats, others: Floats) -> Floats:
    """Intersection over union of one box with (n, 4) others, each x1, y1, x2, y2: (n,)."""
    shared = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, np.finfo(np.float32).tiny), np.float32)


def _area(right: npt.NDArray[np.bool_], labels: int) -> float:
    """Average precision: at each marked face that is found, the best precision from there on."""
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right].sum() / labels) if labels else 0.0

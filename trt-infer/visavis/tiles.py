# SPDX-License-Identifier: Apache-2.0
"""Large pictures in parts: a network that sees the whole of one only smaller misses the small faces in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visavis.detections import Detections, boxes_of, no_detections

# Parts share the 40th part of the picture's longer side. A face that no part has as a whole is larger than that,
# and has 1920 / 40 = 48 pixels where the whole picture is looked at; in the longest that become a JPEG, 28.
SHARED = 40
# A box that lies so far within a larger one is the same face, as a part's border cuts it or another look places it.
SAME = 0.7


def parts_of(width: int, height: int, longest: int) -> list[tuple[slice, slice]]:
    """Cut a picture into parts that overlap, each side at most `longest` pixels: rows and columns of each.

    Less than `longest` / 2 is shared, however long a picture is: the number of parts stays in proportion to it.
    """
    shared = min(max(width, height) // SHARED, longest // 2)
    return [(rows, columns) for rows in _cut(height, longest, shared) for columns in _cut(width, longest, shared)]


def _cut(length: int, longest: int, shared: int) -> list[slice]:
    count = max(1, -(-(length - shared) // (longest - shared)))
    side = -(-(length + (count - 1) * shared) // count)
    last = length - side
    starts = [last * number // max(1, count - 1) for number in range(count)]
    return [slice(start, start + side) for start in starts]


def apart(looks: Sequence[Detections]) -> Detections:
    """Of what several looks at one picture found, (n,) each, every face once: as large as it was seen, best first.

    What one look tells apart are two faces, also where one is in front of the other.
    """
    if len(looks) == 1:
        return looks[0][np.argsort(-looks[0]["score"], kind="stable")]
    found = np.concatenate(looks)
    by = np.repeat(np.arange(len(looks)), [len(look) for look in looks])
    boxes = boxes_of(found)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for place in np.argsort(-areas, kind="stable"):
        overlaps = np.minimum(boxes[kept, 2:], boxes[place, 2:]) - np.maximum(boxes[kept, :2], boxes[place, :2])
        same = np.prod(overlaps.clip(0), axis=1) >= SAME * areas[place]
        if not (same & (by[kept] != by[place])).any():
            kept.append(int(place))
    best: Detections = found[sorted(kept, key=lambda place: -float(found["score"][place]))]
    return best if kept else no_detections()

# SPDX-License-Identifier: Apache-2.0
"""SCRFD: two candidates at each place of three maps; a box as distances from the place to its four sides.

The algorithm is that of InsightFace's `SCRFD` class (detection/scrfd/tools/scrfd.py, MIT). Its published weights are
for research only: visavis offers none, a file of one's own works. Files with and without landmarks are both of this
family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from visavis.detections import Detections
from visavis.families.faces import faces_of, places
from visavis.families.family import Family, Floats, Shape, checked, last_sides

STRIDES = (8, 16, 32)
CANDIDATES = 2
# Numbers of a candidate: score, distances, landmarks; each for three strides.
SIDES = (1, 4, 10)


def decode(outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float) -> Detections:
    """Turn the model's outputs into faces.

    Args:
        outputs: (1, candidates, n) float32: scores for strides 8, 16, 32, distances likewise, landmarks if it has them.
        input_size: width and height of the network's input, pixels.
        score: least score of a face, exclusive.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (n,) detections in pixels of the input, best first; candidates where the model is not finite are left out.

    Raises:
        DetectorError: the outputs have other shapes.
    """
    width, height = input_size
    shapes = _shapes(width, height)
    parts = checked("SCRFD", outputs, shapes if len(outputs) == len(shapes) else shapes[:6])
    with np.errstate(over="ignore", invalid="ignore"):
        levels = [
            _level(parts[level::3], places(height // stride, width // stride), stride, score)
            for level, stride in enumerate(STRIDES)
        ]
    boxes, scores, marks = (np.concatenate(part) for part in zip(*levels, strict=True))
    return faces_of(boxes, scores, marks if len(parts) == len(shapes) else None, input_size, iou)


def _level(parts: list[Floats], at: Floats, stride: int, score: float) -> tuple[Floats, Floats, Floats]:
    scores, distances = parts[0][:, 0], parts[1]
    good = np.flatnonzero(scores > score)
    middle, far = np.repeat(at, CANDIDATES, axis=0)[good] * stride, distances[good] * stride
    boxes = np.concatenate([middle - far[:, :2], middle + far[:, 2:]], axis=1)
    points = parts[2][good] if len(parts) == len(SIDES) else np.zeros((good.size, 10), np.float32)
    return boxes, scores[good], points.reshape(-1, 5, 2) * stride + middle[:, None]


def _shapes(width: int, height: int) -> tuple[Shape, ...]:
    return tuple(
        (1, (height // stride) * (width // stride) * CANDIDATES, sides) for sides in SIDES for stride in STRIDES
    )


def _fits(outputs: Mapping[str, Shape]) -> bool:
    return last_sides(outputs) in ([1] * 3 + [4] * 3, [1] * 3 + [4] * 3 + [10] * 3)


FAMILY = Family(
    name="scrfd",
    landmarks=True,
    order="rgb",
    mean=127.5,
    scale=128.0,
    decode=decode,
    shapes=_shapes,
    fits=_fits,
    form="three outputs [?, 1], three [?, 4], three [?, 10] or none",
)

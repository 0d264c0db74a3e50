# SPDX-License-Identifier: Apache-2.0
"""SCRFD: two candidates at each place of three maps; a box as distances from the place to its four sides.

The algorithm is that of InsightFace's `SCRFD` class (detection/scrfd/tools/scrfd.py, MIT). Its published weights are
for research only: visavis offers none, a file of one's own works. Files with and without landmarks are both of this
family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from visavis.detections import Detections
from visavis.families.faces import Box, Faces, above, best_first
from visavis.families.family import Family, Floats, Shape, checked, last_sides

STRIDES = (8, 16, 32)
CANDIDATES = 2
# Numbers of a candidate: score, distances, landmarks; each for three strides.
SIDES = (1, 4, 10)
# What landmarks are found by: their output if there is one, the candidate's number in it, its place and stride, pixels.
Origin = tuple[Floats | None, int, int, int, int]
# Its score, its box, and its origin.
Candidate = tuple[float, Box, Origin]


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
    width, _ = input_size
    shapes = _shapes(*input_size)
    parts = checked("SCRFD", outputs, shapes if len(outputs) == len(shapes) else shapes[:6])
    candidates = [
        candidate
        for level, stride in enumerate(STRIDES)
        for candidate in _candidates(parts[level::3], width // stride, stride, score)
    ]
    faces = Faces(input_size, iou)
    for sure, box, origin in best_first(candidates):
        if faces.takes(*box):
            faces.add(sure, box, _marks(origin))
    return faces.detections()


def _candidates(parts: Sequence[Floats], columns: int, stride: int, least: float) -> Iterator[Candidate]:
    scores, distances = parts[0].reshape(-1), parts[1][0]
    good = above(scores, least)
    if not good:
        return
    points = parts[2] if len(parts) == len(SIDES) else None
    numbers = good, scores.take(good).tolist(), distances.take(good, 0).tolist()
    for index, score, (left, top, right, bottom) in zip(*numbers, strict=True):
        row, column = divmod(index // CANDIDATES, columns)
        x, y = column * stride, row * stride
        origin = (points, index, x, y, stride)
        yield score, (x - left * stride, y - top * stride, x + right * stride, y + bottom * stride), origin


def _marks(origin: Origin) -> list[float] | None:
    points, index, x, y, stride = origin
    if points is None:
        return None
    numbers = points[0, index].tolist()
    return [
        number * stride + begin
        for pair in zip(numbers[::2], numbers[1::2], strict=True)
        for number, begin in zip(pair, (x, y), strict=True)
    ]


@lru_cache(maxsize=16)
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

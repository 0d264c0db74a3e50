# SPDX-License-Identifier: Apache-2.0
"""YuNet: for each place of three maps a class and an object score, a box and five landmarks.

The algorithm is that of OpenCV's `FaceDetectorYN` (modules/objdetect/src/face_detect.cpp, Apache-2.0); model and paper:
github.com/ShiqiYu/libfacedetection.train (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import exp, sqrt

from visavis.detections import Detections
from visavis.families.faces import Box, Faces, above, best_first
from visavis.families.family import MOST_LOG, Family, Floats, Shape, checked

STRIDES = (8, 16, 32)
# Outputs in order: each part for each stride, and how many numbers a place has.
PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
# What landmarks are found by: their output, the place's number in it, its column, row and stride.
Origin = tuple[Floats, int, int, int, int]
# Its score, its box, and its origin.
Candidate = tuple[float, Box, Origin]
NAMES = {f"{part}_{stride}": sides for part, sides in PARTS.items() for stride in STRIDES}


def decode(outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float) -> Detections:
    """Turn the model's outputs into faces.

    Args:
        outputs: twelve of (1, places, n) float32: class for strides 8, 16, 32, then object, box, landmarks likewise.
        input_size: width and height of the network's input, pixels.
        score: least score of a face, exclusive; a score is the geometric mean of class and object.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (n,) detections in pixels of the input, best first; places where the model is not finite are left out.

    Raises:
        DetectorError: the outputs have other shapes.
    """
    width, _ = input_size
    parts = checked("YuNet", outputs, _shapes(*input_size))
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
    kinds, things, boxes, points = parts
    kinds, things = kinds.reshape(-1), things.reshape(-1)
    # The object score is brought into 0..1, so that no score is above the root of its class score.
    places = above(kinds, least * least)
    if not places:
        return
    numbers = (
        places,
        kinds.take(places).tolist(),
        things.take(places).tolist(),
        boxes[0].take(places, 0).tolist(),
    )
    for place, kind, thing, (right, down, log_wide, log_high) in zip(*numbers, strict=True):
        score = sqrt(min(kind, 1.0) * min(max(thing, 0.0), 1.0))
        if not score > least or log_wide > MOST_LOG or log_high > MOST_LOG:
            continue
        row, column = divmod(place, columns)
        x, y = (column + right) * stride, (row + down) * stride
        half_wide, half_high = exp(log_wide) * stride / 2, exp(log_high) * stride / 2
        origin = (points, place, column, row, stride)
        yield score, (x - half_wide, y - half_high, x + half_wide, y + half_high), origin


def _marks(origin: Origin) -> list[float]:
    points, place, column, row, stride = origin
    numbers = points[0, place].tolist()
    return [
        (number + begin) * stride
        for pair in zip(numbers[::2], numbers[1::2], strict=True)
        for number, begin in zip(pair, (column, row), strict=True)
    ]


@lru_cache(maxsize=16)
def _shapes(width: int, height: int) -> tuple[Shape, ...]:
    return tuple((1, (height // stride) * (width // stride), sides) for sides in PARTS.values() for stride in STRIDES)


def _fits(outputs: Mapping[str, Shape]) -> bool:
    return {name: shape[-1] if shape else 0 for name, shape in outputs.items()} == NAMES


FAMILY = Family(
    name="yunet",
    landmarks=True,
    order="bgr",
    outputs=tuple(NAMES),
    decode=decode,
    shapes=_shapes,
    fits=_fits,
    form="outputs cls_8 [?, ?, 1] to kps_32 [?, ?, 10]",
)

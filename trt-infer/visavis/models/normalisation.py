# SPDX-License-Identifier: Apache-2.0
"""Normalisation that a graph does by itself, as those of PyTorch users often do: `image / 255`, `(image - mean) / std`.

It is found by what stands between the picture and the first convolution, taken out of the graph, and goes on as two
numbers for each channel, so that preparation puts nothing on top of it. From these numbers follows what the graph
takes: bytes as they are, or values from 0 to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from visavis.models.graph import Weights, rename

Numbers = npt.NDArray[np.float64]
CHANNELS = 3
# What a first convolution sees is never further from 0: bytes as they are reach 255.
MOST = 256.0


class Affine(NamedTuple):
    """gain * value + offset; (3,) each, in the order of the original's channels."""

    gain: Numbers
    offset: Numbers

    def then(self, other: Affine) -> Affine:
        """Both, one after the other."""
        return Affine(self.gain * other.gain, self.offset * other.gain + other.offset)

    def of_bytes(self) -> float:
        """How far from 0 the values of bytes come."""
        return float(np.abs([self.offset, 255 * self.gain + self.offset]).max())


NOTHING = Affine(np.ones(CHANNELS), np.zeros(CHANNELS))
# Values from 0 to 1, as pictures come out of most loaders of PyTorch users.
UNIT = Affine(np.full(CHANNELS, 1 / 255), np.zeros(CHANNELS))


def taken_out(nodes: list[Any], weights: Weights, image: str) -> tuple[list[Any], Affine]:
    """Take the operators out that alone take the picture and work on each value by itself; the rest takes `image`."""
    found, name = NOTHING, image
    while True:
        users = [node for node in nodes if name in node.input]
        step = _step(users[0], weights, name) if len(users) == 1 else None
        if step is None:
            break
        found, name = found.then(step), users[0].output[0]
        nodes = [node for node in nodes if node is not users[0]]
    rename(nodes, name, image)
    return nodes, found


def taken(own: Affine) -> Affine:
    """What a graph that normalises by itself takes for a byte: the byte, or its 255th part.

    Raises:
        ValueError: neither fits.
    """
    for value in (NOTHING, UNIT):
        if value.then(own).of_bytes() <= MOST:
            return value
    raise ValueError(f"it takes {own.gain} x value + {own.offset}, which fits neither 0..255 nor 0..1")


def words(own: Affine) -> str:
    """What a graph takes, if it normalises by itself; "" if it does not."""
    if is_nothing(own):
        return ""
    return "bytes" if taken(own) is NOTHING else "0..1"


def is_nothing(own: Affine) -> bool:
    """Whether values go through as they are."""
    return bool((own.gain == 1).all() and (own.offset == 0).all())


def _step(node: Any, weights: Weights, name: str) -> Affine | None:
    """What one operator does to each value of `name`; None when it does something else."""
    if node.op_type == "Identity" or (node.op_type == "Cast" and _kind(node) == TensorProto.FLOAT):
        return NOTHING
    if node.op_type == "BatchNormalization":
        return _norm(node, weights)
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    first = node.input[0] == name
    number = _per_channel(weights.get(node.input[1 if first else 0]))
    return None if number is None else _arithmetic(node.op_type, number, first=first)


def _arithmetic(operator: str, number: Numbers, *, first: bool) -> Affine | None:
    """`first`: the picture stands before the number."""
    ones, zeros = NOTHING
    if operator == "Add":
        return Affine(ones, number)
    if operator == "Sub":
        return Affine(ones, -number) if first else Affine(-ones, number)
    if not (number != 0).all() or (operator == "Div" and not first):
        return None
    return Affine(number if operator == "Mul" else 1 / number, zeros)


def _norm(node: Any, weights: Weights) -> Affine | None:
    values = [weights.get(name) for name in node.input[1:5]]
    numbers = [_per_channel(value.reshape(-1, 1, 1)) for value in values if value is not None]
    known = [number for number in numbers if number is not None]
    if len(known) != 4 or not (known[0] != 0).all():
        return None
    scale, bias, mean, variance = known
    epsilon = next((item.f for item in node.attribute if item.name == "epsilon"), 1e-5)
    gain = scale / np.sqrt(variance + epsilon)
    return Affine(gain, bias - mean * gain)


def _per_channel(value: npt.NDArray[Any] | None) -> Numbers | None:
    """A constant as one number for each channel; None when it is not one for all pictures, rows and columns."""
    if value is None or value.dtype.hasobject or not np.isfinite(value).all():  # texts are objects
        return None
    if value.size == 1:
        return np.full(CHANNELS, value.reshape(-1)[0], np.float64)
    fits = value.size == CHANNELS and value.shape[-3:] == (CHANNELS, 1, 1)
    return value.astype(np.float64).reshape(-1) if fits else None


def _kind(node: Any) -> int:
    return int(helper.get_attribute_value(next(item for item in node.attribute if item.name == "to")))

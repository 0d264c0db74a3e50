# SPDX-License-Identifier: Apache-2.0
"""What travels: pictures out, float32 tensors back, and what a server says about its model. The same for both wires."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from visavis.families.family import Family, Floats, Shape
from visavis.openinference.endpoint import Deadline, Endpoint, ServerLost, ServerUnfit

INPUT = "image"
FREE = -1
# More than the outputs of any family for the largest picture that a configuration takes.
MOST_ANSWER_BYTES = 64 * 1024 * 1024

Pictures = npt.NDArray[np.uint8]  # (n, height, width, 3)


class Spec(msgspec.Struct, frozen=True):
    """One tensor as a server declares it; a side of -1 is any."""

    name: str
    datatype: str
    shape: list[int]


class Metadata(msgspec.Struct, frozen=True):
    """What a server says about one model."""

    inputs: list[Spec] = []
    outputs: list[Spec] = []


class Server(Protocol):
    """One connection to one model."""

    def metadata(self, deadline: Deadline) -> Metadata:
        """Ask what the model takes and gives.

        Raises:
            ServerLost: no sound answer in time.
            ServerUnfit: the server refuses us, or has no such model.
        """

    def infer(self, pictures: Pictures, deadline: Deadline) -> list[Floats]:
        """Infer `pictures` in one request: the outputs that were wanted, in that order; raises as `metadata`."""

    def close(self) -> None:
        """Give the connection back."""


def check_fits(said: Metadata, family: Family, outputs: Sequence[str], pictures: Shape, where: Endpoint) -> None:
    """See that the model on a server is the prepared one, by names, types and shapes.

    Args:
        said: by the server.
        family: of the model that is wanted.
        outputs: their names, in the order of `family.shapes`.
        pictures: (most at a time, height, width, 3), height and width 0 for any.

    Raises:
        ServerUnfit: it is another one, or made for another size, or for fewer pictures at a time.
    """
    for count, height, width in _cases(pictures):
        wanted: dict[str, tuple[str, Shape]] = {INPUT: ("UINT8", (count, height, width, 3))}
        shapes = family.shapes(width, height)
        _compare("input", {one.name: one for one in said.inputs}, wanted, where)
        wanted = {name: ("FP32", (count, *shape[1:])) for name, shape in zip(outputs, shapes, strict=False)}
        _compare("output", {one.name: one for one in said.outputs}, wanted, where)


def _cases(pictures: Shape) -> list[tuple[int, int, int]]:
    """What is tried: what fits one picture and the most fits all between, what fits two sizes fits any."""
    most, height, width, _ = pictures
    sizes = [(height, width)] if height else [(64, 64), (192, 128)]
    return [(count, *size) for count in sorted({1, most}) for size in sizes]


def _compare(kind: str, said: Mapping[str, Spec], wanted: Mapping[str, tuple[str, Shape]], where: Endpoint) -> None:
    fits = all(
        name in said and said[name].datatype == datatype and _takes(said[name].shape, shape)
        for name, (datatype, shape) in wanted.items()
    )
    if fits and (kind == "output" or len(said) == len(wanted)):
        return
    there = ", ".join(f"{one.name} {one.datatype} {one.shape}" for one in said.values()) or "nothing"
    here = ", ".join(f"{name} {datatype} {list(shape)}" for name, (datatype, shape) in wanted.items())
    raise ServerUnfit(
        f"model {where.model} on {where} has the {kind}s {there[:1_000]}; wanted are {here}",
        f"serve what `visavis model export-triton {where.model} DIR` writes, with the same --input",
    )


def _takes(said: Sequence[int], wanted: Shape) -> bool:
    return len(said) == len(wanted) and all(side in (FREE, want) for side, want in zip(said, wanted, strict=False))


def floats(name: str, datatype: str, shape: Sequence[int], content: Any) -> Floats:
    """Make an output's tensor from its bytes (little-endian) or its list of numbers.

    Raises:
        ServerLost: they are no float32 tensor of that shape.
    """
    try:
        if datatype != "FP32" or any(side < 0 for side in shape):
            raise ValueError(f"it is {datatype} {list(shape)}")
        raw = isinstance(content, bytes | memoryview)
        if raw and len(content) != 4 * math.prod(shape):
            raise ValueError(f"{len(content)} bytes for {list(shape)}")
        flat = np.frombuffer(bytes(content), "<f4") if raw else np.array(content, np.float32)
        return flat.reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise ServerLost(f"the server's output {name[:60]} is none, {error}") from error


def in_order(found: Mapping[str, Floats], wanted: Sequence[str]) -> list[Floats]:
    """Pick the outputs that were asked for, in that order.

    Raises:
        ServerLost: one is missing.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ServerLost(f"the server left out {', '.join(missing)}")
    return [found[name] for name in wanted]

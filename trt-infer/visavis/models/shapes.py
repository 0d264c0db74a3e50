# SPDX-License-Identifier: Apache-2.0
"""The shape of every value of a graph, where it follows from the input's: for what a runtime would be asked for.

onnx infers most. What exporters write around `Reshape` and `Resize` (Shape, Gather, Concat, ...) it follows only in
new opsets, so that arithmetic is done here. Nothing is guessed: what is not done exactly as a runtime does it stays
unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from visavis.families.family import Shape

Numbers = npt.NDArray[Any]
# A shape has a few sides; longer lists are data.
MOST_NUMBERS = 64
# What follows from a shape may make another one known; exporters stack a few of these.
MOST_ROUNDS = 8
# From here on float32 does not hold each whole number, and runtimes may differ.
MOST_EXACT = 2**24
VALUE = "value"
Rule = Callable[[Any, list[Numbers]], "Numbers | None"]


def shapes(model: Any) -> dict[str, Shape | None]:
    """The shape of each value that the nodes make, None where it does not follow from the input's.

    What the file itself says of its values and outputs is not believed.

    Raises:
        onnx.shape_inference.InferenceError: the shapes contradict each other.
    """
    inferred = _inferred(_undeclared(_inferred(model)))
    for _ in range(MOST_ROUNDS):
        if not _work_out(inferred.graph):
            break
        inferred = _inferred(_undeclared(inferred))
    known = _known(inferred.graph)
    return {name: known.get(name) for node in inferred.graph.node for name in node.output if name}


def _inferred(model: Any) -> Any:
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _undeclared(model: Any) -> Any:
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def _known(graph: Any) -> dict[str, Shape]:
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {value.name: _sides(value) for value in values if value.type.tensor_type.HasField("shape")}
    return {name: shape for name, shape in known.items() if shape is not None}


def _sides(value: Any) -> Shape | None:
    sides = value.type.tensor_type.shape.dim
    # A text takes any memory, whatever the shape.
    plain = value.type.tensor_type.elem_type != onnx.TensorProto.STRING
    fixed = plain and all(side.HasField("dim_value") and side.dim_value >= 0 for side in sides)
    return tuple(int(side.dim_value) for side in sides) if fixed else None


def _work_out(graph: Any) -> bool:
    """Put constants in place of arithmetic on shapes that are known by now; whether there was any."""
    known = _known(graph)
    numbers = {item.name: numpy_helper.to_array(item) for item in graph.initializer if _is_short(item.dims)}
    found = False
    for node in graph.node:
        constant = node.op_type == "Constant"
        answer = _constant(node) if constant else _answer(node, numbers, known)
        if answer is None:
            continue
        numbers[node.output[0]] = answer
        if not constant:
            found = True
            tensor = numpy_helper.from_array(answer)
            node.CopyFrom(helper.make_node("Constant", [], [node.output[0]], **{VALUE: tensor}))
    return found


def _constant(node: Any) -> Numbers | None:
    held = next((item.t for item in node.attribute if item.name == VALUE), None)
    return numpy_helper.to_array(held) if held is not None and _is_short(held.dims) else None


def _is_short(dims: Any) -> bool:
    return len(dims) <= 1 and prod(dims) <= MOST_NUMBERS


def _answer(node: Any, numbers: dict[str, Numbers], known: dict[str, Shape]) -> Numbers | None:
    if len(node.output) != 1:
        return None
    if node.op_type == "Shape":
        return _sides_asked(node, known.get(node.input[0]))
    rule, given = RULES.get(node.op_type), [numbers.get(name) for name in node.input]
    values = [value for value in given if value is not None]
    if rule is None or not values or len(values) != len(given):
        return None
    answer = rule(node, values)
    return np.asarray(answer) if answer is not None and _is_short(answer.shape) and _is_exact(answer) else None


def _sides_asked(node: Any, shape: Shape | None) -> Numbers | None:
    first, end = _attribute(node, "start", 0), _attribute(node, "end", None)
    return None if shape is None else np.array(shape, np.int64)[first:end]


def _is_exact(answer: Numbers) -> bool:
    return answer.dtype in (np.int32, np.int64, np.float32) and bool((np.abs(answer) < MOST_EXACT).all())


def _attribute(node: Any, name: str, usual: Any) -> Any:
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), usual)


def _cast(node: Any, values: list[Numbers]) -> Numbers | None:
    kind = _attribute(node, "to", 0)
    exact = _is_exact(values[0]) and kind in (onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT)
    return values[0].astype(helper.tensor_dtype_to_np_dtype(kind)) if exact else None


def _gather(node: Any, values: list[Numbers]) -> Numbers | None:
    source, places = values
    fits = source.ndim == 1 and _attribute(node, "axis", 0) in (0, -1)
    inside = bool(((places >= -source.size) & (places < source.size)).all())
    return np.asarray(source[places]) if fits and inside else None


def _concat(node: Any, values: list[Numbers]) -> Numbers | None:
    fits = all(value.ndim == 1 and value.dtype == values[0].dtype for value in values)
    return np.concatenate(values) if fits else None


def _unsqueeze(node: Any, values: list[Numbers]) -> Numbers | None:
    axes = [int(axis) for axis in (values[1].reshape(-1) if len(values) > 1 else _attribute(node, "axes", []))]
    return values[0].reshape(1) if values[0].ndim == 0 and axes in ([0], [-1]) else None


def _squeeze(node: Any, values: list[Numbers]) -> Numbers | None:
    return values[0].reshape(()) if values[0].shape == (1,) else None


def _slice(node: Any, values: list[Numbers]) -> Numbers | None:
    starts, ends, axes, steps = _bounds(node, values[1:])
    fits = values[0].ndim == 1 and len(starts) == len(ends) == 1 and axes in ([0], [-1]) and steps == [1]
    return values[0][starts[0] : ends[0]] if fits else None


def _bounds(node: Any, given: list[Numbers]) -> list[list[int]]:
    """Starts, ends, axes and steps of a slice; up to opset 9 they were attributes, without steps."""
    if not given:
        return [[*_attribute(node, name, [0])] for name in ("starts", "ends", "axes")] + [[1]]
    usual = [[0], [1]]
    return [value.reshape(-1).tolist() for value in given] + usual[len(given) - 2 :]


def _counted(compute: Callable[[Numbers, Numbers], Any]) -> Rule:
    def rule(_node: Any, values: list[Numbers]) -> Numbers | None:
        first, second = values
        # A quotient of whole numbers is cut towards zero, NumPy's is not: below zero they differ.
        exact = first.dtype == second.dtype and all(_is_exact(value) and bool((value >= 0).all()) for value in values)
        one_size = first.size == second.size or 1 in (first.size, second.size)
        answer = compute(first, second) if exact and one_size else None
        return None if answer is None else np.asarray(answer, first.dtype)

    return rule


def _quotient(first: Numbers, second: Numbers) -> Any:
    if not (second > 0).all():
        return None
    return first / second if first.dtype == np.float32 else first // second


RULES: dict[str, Rule] = {
    "Identity": lambda _, values: values[0],
    "Cast": _cast,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Add": _counted(np.add),
    "Sub": _counted(np.subtract),
    "Mul": _counted(np.multiply),
    "Div": _counted(_quotient),
    "Floor": lambda _, values: np.floor(values[0]) if values[0].dtype == np.float32 else None,
    "Ceil": lambda _, values: np.ceil(values[0]) if values[0].dtype == np.float32 else None,
}

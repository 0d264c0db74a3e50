# SPDX-License-Identifier: Apache-2.0
"""What a model file must be before any runtime sees it.

Runtimes have read other files of the machine as "external data" and allocated whatever a file asked for, so a file is
refused here, from its bytes alone: weights in other files or not written out, operators of strangers, nested graphs,
absurd sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from visavis.errors import ModelError
from visavis.families.family import Shape
from visavis.models.manifest import MOST_BYTES
from visavis.models.shapes import shapes
from visavis.models.wire import counted

MOST_NODES = 10_000
# Of the file: operators, their inputs and attributes, weights, and what those have. CenterFace has 3,000.
MOST_PARTS = 500_000
MOST_SIDE = 2**24
# No family needs a quarter of this for one value of one picture; a bomb asks for more at once.
MOST_BYTES_PER_PIXEL = 1024
# All values together: in which order a runtime makes them, and what it keeps, is its own affair. CenterFace has 1125.
MOST_BYTES_PER_PIXEL_IN_ALL = 4096
# Smaller pictures may ask for as much as one of this size.
LEAST_PIXELS = 2**16
CHANNELS = 3
# Nearly all are float32. Others take up to four times as much, which the limits allow for.
BYTES_PER_NUMBER = 4
BYTES_PER_ADDRESS = 8
# Of a deformed convolution, for each of its places: from where four neighbours come, and how much of each.
BYTES_PER_MOVE = 32
# The most spatial dimensions with which a Conv takes a part of the picture at a time.
PARTED_DIMENSIONS = 3
Within = Callable[[list[Shape], Shape], int]
OWN_DOMAINS = ("", "ai.onnx")
NESTED = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def inspected(content: bytes, name: str) -> Any:
    """Parse a model file that is safe to work on.

    Args:
        content: the whole file.
        name: of the model, for errors.

    Returns:
        An onnx.ModelProto with one picture as its input and all weights inside.

    Raises:
        ModelError: not an ONNX model, or one that is refused; the sentence says why.
    """
    model = _parsed(content, name)
    outside = _outside(model)
    if outside:
        raise ModelError(f"{name} keeps weights in other files ({outside})", "save it as one file")
    for look in (_absurd, _foreign, _sparse):
        if wrong := look(model):
            raise _refused(name, wrong)
    unfit = _input_fault(model)
    if unfit:
        remedy = "export it with one input, float32 of (pictures, 3, height, width)"
        raise ModelError(f"model {name} is refused, {unfit}", remedy)
    try:
        onnx.checker.check_model(model)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise _invalid(name, error) from error
    return model


def outputs_of(model: Any) -> dict[str, Shape]:
    """The outputs of a model: name -> shape, 0 where any size is allowed."""
    return {item.name: shape_of(item) for item in model.graph.output}


def described(outputs: dict[str, Shape]) -> str:
    """Outputs in words: `scores [1, ?, 2], boxes [1, ?, 4]`."""
    sides = {name: ", ".join(str(side or "?") for side in shape) for name, shape in outputs.items()}
    return ", ".join(f"{name} [{words}]" for name, words in sides.items())


def picture_input(model: Any) -> Any:
    """The one input that is not a weight.

    Raises:
        ModelError: there are more, or none.
    """
    weights = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    if len(inputs) != 1:
        raise ModelError(f"it has {len(inputs)} inputs", "it must have one, the picture")
    return inputs[0]


def shape_of(value: Any) -> Shape:
    """The declared shape of an input or output, 0 where any size is allowed."""
    return tuple(int(side.dim_value) for side in value.type.tensor_type.shape.dim)


def check_weight(name: str, model: Any, shape: Shape) -> int:
    """Refuse a model that asks for absurd memory, before any runtime gives it.

    Args:
        name: of the model, for errors.
        model: gets `shape` for its input.
        shape: of its input, (pictures, three or rows, ..., ...).

    Returns:
        Bytes of all its values together, the input among them.

    Raises:
        ModelError: it computes, on the way, a value of more than MOST_BYTES_PER_PIXEL for each pixel, values of more
            than MOST_BYTES_PER_PIXEL_IN_ALL, or one whose size does not follow from the input's.
        onnx.shape_inference.InferenceError: the shapes contradict each other.
    """
    for side, value in zip(picture_input(model).type.tensor_type.shape.dim, shape, strict=True):
        side.dim_value = value
    asked_bytes = [prod(shape) * BYTES_PER_NUMBER, *_asked(name, model)]
    pixels = max(prod(shape) // CHANNELS, LEAST_PIXELS)
    most, in_all = max(asked_bytes), sum(asked_bytes)
    if most > pixels * MOST_BYTES_PER_PIXEL:
        raise ModelError(f"model {name} is refused, one of its values takes {most // 2**20} MiB", "use another")
    if in_all > pixels * MOST_BYTES_PER_PIXEL_IN_ALL:
        raise ModelError(f"model {name} is refused, its values take {in_all // 2**20} MiB together", "use another")
    return in_all


def _asked(name: str, model: Any) -> Iterator[int]:
    given = {item.name: shape_of(item) for item in model.graph.input}
    given |= {item.name: tuple(item.dims) for item in model.graph.initializer}
    made: dict[str, Shape] = {}
    for value, sides in shapes(model).items():
        if sides is None:
            reason = f"how large its value {value} is does not follow from the size of the picture"
            raise ModelError(f"model {name} is refused, {reason}", "export it for one size")
        made[value] = sides
        yield prod(sides) * BYTES_PER_NUMBER
    yield from _between(model, given | made)


def _between(model: Any, sides: dict[str, Shape]) -> Iterator[int]:
    """What onnxruntime makes within an operator, measured: it lays the kernel out at each place of one picture."""
    within = takes_within(model)
    for node in model.graph.node:
        if node.op_type in within:
            yield within[node.op_type]([sides[value] for value in node.input if value], sides[node.output[0]])


def takes_within(model: Any) -> dict[str, Within]:
    """What operators of these types take beside their values, of their inputs and what they make."""
    quantised = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    return WITHIN | WITHIN_QUANTISED if quantised else WITHIN


def _within_plain(inputs: list[Shape], made: Shape) -> int:
    """With few dimensions it takes a part of the picture at a time."""
    kernel = inputs[1]
    return prod(kernel[1:]) * prod(made[2:]) * BYTES_PER_NUMBER if len(kernel) - 2 > PARTED_DIMENSIONS else 0


def _within_fused(inputs: list[Shape], made: Shape) -> int:
    """Which ones onnxruntime makes a QLinearConv of depends on its version, as it moves DequantizeLinear about."""
    return max(_within_plain(inputs, made), _quantised(inputs[1], made))


def _within_transposed(inputs: list[Shape], _: Shape) -> int:
    picture, kernel = inputs[:2]
    return prod(kernel[1:]) * prod(picture[2:]) * BYTES_PER_NUMBER


def _within_integer(inputs: list[Shape], made: Shape) -> int:
    return prod(inputs[1][1:]) * prod(made[2:])


def _within_quantised(inputs: list[Shape], made: Shape) -> int:
    return _quantised(inputs[3], made)


def _quantised(kernel: Shape, made: Shape) -> int:
    # Numbers of one byte, or where they are: onnxruntime has several ways, some for certain processors.
    return max(kernel[1], BYTES_PER_ADDRESS) * prod(kernel[2:]) * prod(made[2:])


def _within_deformed(inputs: list[Shape], made: Shape) -> int:
    picture, kernel, moves = inputs[:3]
    laid_out = picture[1] * prod(kernel[2:]) * prod(made[2:]) * BYTES_PER_NUMBER
    return laid_out + prod(moves[1:]) // 2 * BYTES_PER_MOVE


WITHIN: dict[str, Within] = {
    "Conv": _within_plain,
    "ConvTranspose": _within_transposed,
    "ConvInteger": _within_integer,
    "QLinearConv": _within_quantised,
    "DeformConv": _within_deformed,
}
# The same operators in a model with DequantizeLinear.
WITHIN_QUANTISED = {"Conv": _within_fused}


def _parsed(content: bytes, name: str) -> Any:
    if len(content) > MOST_BYTES:
        raise ModelError(f"model {name} is larger than {MOST_BYTES // 2**20} MiB", "use a smaller model")
    try:
        parts = counted(content, MOST_PARTS)
        if parts > MOST_PARTS:
            raise _refused(name, f"it has more than {MOST_PARTS} parts")
        model = onnx.load_model_from_string(content)
    except (ValueError, DecodeError) as error:
        raise _invalid(name, error) from error
    if not model.graph.node:
        raise _invalid(name, "it computes nothing")
    return model


def _refused(name: str, reason: str) -> ModelError:
    return ModelError(f"model {name} is refused, {reason}", "use a file from a source that you trust")


def _invalid(name: str, reason: object) -> ModelError:
    lines = str(reason).strip().splitlines()
    return ModelError(f"{name} is not a valid ONNX model, {lines[0] if lines else ''}", "export or download it again")


def _foreign(model: Any) -> str:
    # Not those that are only announced: tf2onnx names ai.onnx.ml in every file, and preparation leaves it out.
    domains = {node.domain for node in model.graph.node} - set(OWN_DOMAINS)
    if domains or len(model.functions):
        return f"it brings operators of its own ({', '.join(sorted(domains)) or 'functions'})"
    nested = {node.op_type for node in model.graph.node for item in node.attribute if item.type in NESTED}
    return f"it holds graphs within its graph ({', '.join(sorted(nested))})" if nested else ""


def _sparse(model: Any) -> str:
    """A runtime writes such a weight out when it loads it: a few bytes of the file become any size."""
    attributes = [item for node in model.graph.node for item in node.attribute]
    found = [
        *model.graph.sparse_initializer,
        *(item.sparse_tensor for item in attributes if item.HasField("sparse_tensor")),
        *(sparse for item in attributes for sparse in item.sparse_tensors),
    ]
    return f"its weight {found[0].values.name or 'without a name'} is written sparsely" if found else ""


def _outside(model: Any) -> str:
    outside = [item.name for item in _tensors(model) if item.data_location == TensorProto.EXTERNAL]
    return (outside[0] or "unnamed") if outside else ""


def _absurd(model: Any) -> str:
    if len(model.graph.node) > MOST_NODES:
        return f"it has {len(model.graph.node)} operators, the limit is {MOST_NODES}"
    for item in _tensors(model):
        if any(side < 0 for side in item.dims) or prod(item.dims) > MOST_BYTES:
            return f"its weight {item.name or 'without a name'} claims the shape {list(item.dims)}"
    for value in (*model.graph.input, *model.graph.output):
        if any(not 0 <= side <= MOST_SIDE for side in shape_of(value)):
            return f"its {value.name} claims the shape {list(shape_of(value))}"
    return ""


def _input_fault(model: Any) -> str:
    try:
        value = picture_input(model)
    except ModelError as error:
        return error.sentence
    shape = shape_of(value)
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        return f"its input {value.name} is not float32"
    if len(shape) != 4 or shape[1] != CHANNELS:
        return f"its input {value.name} is {list(shape)}, not (pictures, 3, height, width)"
    return ""


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        for item in node.attribute:
            yield from (item.t, *item.tensors)

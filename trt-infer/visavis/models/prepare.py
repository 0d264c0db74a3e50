# SPDX-License-Identifier: Apache-2.0
"""Rewrites a model so that it runs fast and takes the frame as it lies in the ring.

What is done, in the order of `prepare`: batch normalisation and pairs of linear 1x1 convolutions become one
convolution, the channel swap moves into the first one's weights, the input becomes (1, H, W, 3) uint8 BGR, and
weights are plain initializers (the original lists them as inputs, so a runtime may fold nothing).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from visavis.errors import ModelError
from visavis.families.centerface import CHANNELS
from visavis.models.manifest import Original
from visavis.models.recognise import parsed

LARGEST_SIDE = 8192
OPSET = 13
# (1, 3, H, W) float32: what the original takes, made from `image` inside the graph.
PLANES = "image_planes"

Weights = dict[str, npt.NDArray[Any]]


def prepare(original: Original, width: int, height: int) -> bytes:
    """Rewrite `original` for pictures of width x height pixels; 0 x 0 for any size.

    Returns:
        An ONNX file: input `image` (1, H, W, 3) uint8 BGR, outputs as the original's.

    Raises:
        ModelError: a size that the model cannot take, or a file that is not such a model.
    """
    _check_size(original, width, height)
    graph = parsed(original.name, original.content).graph
    channels = tuple(_channels(item) for item in graph.output)
    if channels != CHANNELS:
        raise ModelError(f"cannot prepare {original.name}, its outputs have {channels} channels, not {CHANNELS}")
    weights: Weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    inputs = [item.name for item in graph.input if item.name not in weights]
    nodes = _with_input(list(graph.node), inputs[0])
    try:
        nodes = _merge_linear_pairs(_fold_batch_norms(nodes, weights), weights, {out.name for out in graph.output})
        if original.entry.order == "rgb":
            _swap_channels(nodes, weights)
    except (KeyError, IndexError, StopIteration) as error:
        raise ModelError(f"cannot prepare {original.name}, its graph is not a CenterFace ({error!r})") from error
    model = _assembled(_front() + nodes, weights, graph.output, (width, height))
    _check(original.name, model)
    return bytes(model.SerializeToString())


def _check_size(original: Original, width: int, height: int) -> None:
    multiple = original.entry.multiple
    fits = all(0 <= side <= LARGEST_SIDE and side % multiple == 0 for side in (width, height))
    if not fits or (width == 0) != (height == 0):
        raise ModelError(f"{original.name} cannot take {width}x{height}", f"use multiples of {multiple}")


def _fold_batch_norms(nodes: list[Any], weights: Weights) -> list[Any]:
    kept: list[Any] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        if node.op_type == "BatchNormalization":
            before = next(item for item in kept if node.input[0] in item.output)
            _fold_batch_norm(node, before, weights)
            renamed[node.output[0]] = before.output[0]
        else:
            kept.append(node)
    return kept


def _fold_batch_norm(norm: Any, conv: Any, weights: Weights) -> None:
    scale, bias, mean, variance = (weights[name].astype(np.float64) for name in norm.input[1:5])
    epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    axis = 1 if conv.op_type == "ConvTranspose" else 0
    shape = [-1 if index == axis else 1 for index in range(4)]
    old_bias = weights[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else 0.0
    _set_weights(conv, weights, weights[conv.input[1]] * factor.reshape(shape), (old_bias - mean) * factor + bias)


def _set_weights(conv: Any, weights: Weights, kernel: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
    name = conv.input[0] + ".folded." + conv.output[0]
    weights[name], weights[name + ".bias"] = kernel.astype(np.float32), bias.astype(np.float32)
    rest = conv.input[0]
    del conv.input[:]
    conv.input.extend([rest, name, name + ".bias"])


def _merge_linear_pairs(nodes: list[Any], weights: Weights, outputs: set[str]) -> list[Any]:
    """Two 1x1 convolutions in a row with nothing between are one matrix; kept apart where one would cost more."""
    kept = list(nodes)
    for second in nodes:
        first = next((item for item in kept if item.output[0] == second.input[0]), None)
        if first is None or not (_pointwise(first, weights) and _pointwise(second, weights)):
            continue
        users = sum(first.output[0] in item.input for item in kept)
        a, b = (weights[item.input[1]][:, :, 0, 0].astype(np.float64) for item in (first, second))
        if users > 1 or first.output[0] in outputs or b.shape[0] * a.shape[1] > a.size + b.size:
            continue
        bias = b @ weights[first.input[2]] + weights[second.input[2]]
        second.input[0] = first.input[0]
        _set_weights(second, weights, (b @ a)[:, :, None, None], bias)
        kept.remove(first)
    return kept


def _pointwise(node: Any, weights: Weights) -> bool:
    if node.op_type != "Conv" or len(node.input) < 3 or node.input[1] not in weights:
        return False
    numbers = {item.name: list(item.ints) or [item.i] for item in node.attribute}
    plain = numbers.get("group", [1]) == [1] and numbers.get("strides", [1, 1]) == [1, 1]
    return plain and weights[node.input[1]].shape[2:] == (1, 1) and not any(numbers.get("pads", [0]))


def _with_input(nodes: list[Any], image: str) -> list[Any]:
    """Let the nodes read PLANES instead of the original's input, whose name may be the one that we give ours."""
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = PLANES if name == image else name
    return nodes


def _swap_channels(nodes: list[Any], weights: Weights) -> None:
    for node in nodes:
        if PLANES in node.input:
            name = node.input[1]
            weights[name] = np.ascontiguousarray(weights[name][:, ::-1])


def _front() -> list[Any]:
    return [
        helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_float"], [PLANES], perm=[0, 3, 1, 2]),
    ]


def _assembled(nodes: list[Any], weights: Weights, outputs: Any, size: tuple[int, int]) -> Any:
    width, height = size
    used = {name for node in nodes for name in node.input}
    shape = [1, height or "height", width or "width", 3]
    graph = helper.make_graph(
        nodes,
        "visavis",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [_output(item, size) for item in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="visavis"
    )


def _check(name: str, model: Any) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelError(f"cannot prepare {name}, {reason}", f"export it with opset {OPSET}") from error


def _channels(output: Any) -> int:
    sides = output.type.tensor_type.shape.dim
    return int(sides[1].dim_value) if len(sides) == 4 else 0


def _output(original: Any, size: tuple[int, int]) -> Any:
    width, height = size
    shape = [1, _channels(original), height // 4 or "rows", width // 4 or "columns"]
    return helper.make_tensor_value_info(original.name, TensorProto.FLOAT, shape)

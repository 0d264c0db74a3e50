# SPDX-License-Identifier: Apache-2.0
"""Rewrites of ONNX graphs that change nothing about the answers. Each takes and returns the list of nodes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

Weights = dict[str, npt.NDArray[Any]]
# Batch, rows, columns, channels: how a head lays its places out before they become one list.
PLACES_LAST = [0, 2, 3, 1]
# Rows, columns, batch, channels: InsightFace's way, which is the same for one picture.
BATCH_INSIDE = [2, 3, 0, 1]


def lift_constants(nodes: list[Any], weights: Weights) -> list[Any]:
    """Turn Constant nodes into weights, so that every other rewrite sees them."""
    kept = []
    for node in nodes:
        value = next((item.t for item in node.attribute if item.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            weights[node.output[0]] = numpy_helper.to_array(value)
        else:
            kept.append(node)
    return kept


def flatten_heads(nodes: list[Any], weights: Weights) -> list[Any]:
    """Give every list of places the shape (batch, places, numbers), whatever batch and size.

    Exporters write that as a chain of shape arithmetic, or with the batch and the size of one example in it.
    """
    made = producers(nodes)
    for node in nodes:
        source = made.get(node.input[0]) if node.op_type == "Reshape" else None
        if source is None or not _lays_places_last(source):
            continue
        numbers = _last_side(node.input[1], made, weights)
        if numbers is not None and numbers > 0:
            name = f"{node.output[0]}.shape"
            weights[name] = np.array([0, -1, numbers], np.int64)
            node.input[1] = name
            source.attribute[0].ints[:] = PLACES_LAST
    return nodes


def _lays_places_last(node: Any) -> bool:
    return bool(node.op_type == "Transpose" and list(node.attribute[0].ints) in (PLACES_LAST, BATCH_INSIDE))


def _last_side(name: str, made: dict[str, Any], weights: Weights) -> int | None:
    while name not in weights:
        if name not in made or made[name].op_type not in ("Concat", "Unsqueeze"):
            return None
        name = made[name].input[-1] if made[name].op_type == "Concat" else made[name].input[0]
    return int(weights[name].reshape(-1)[-1])


def fold_batch_norms(nodes: list[Any], weights: Weights) -> list[Any]:
    """Move each batch normalisation into the convolution before it."""
    users = Counter(name for node in nodes for name in node.input)
    kept: list[Any] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        before = _conv_before(node, kept, users) if node.op_type == "BatchNormalization" else None
        if before is None or not _same_channels(node, before, weights):
            kept.append(node)
        else:
            _fold_batch_norm(node, before, weights)
            renamed[node.output[0]] = before.output[0]
    return kept


def _conv_before(norm: Any, kept: list[Any], users: Counter[str]) -> Any | None:
    """The convolution whose answer nobody but `norm` takes."""
    before = next((item for item in kept if norm.input[0] in item.output), None)
    alone = before is not None and before.op_type in ("Conv", "ConvTranspose") and users[norm.input[0]] == 1
    return before if alone else None


def _same_channels(norm: Any, conv: Any, weights: Weights) -> bool:
    """Whether each channel of the kernel has its numbers; without that NumPy makes a kernel for every pair of them."""
    channels = weights[conv.input[1]].shape[_out_axis(conv)]
    return all(weights[name].shape == (channels,) for name in norm.input[1:5])


def _out_axis(conv: Any) -> int:
    return 1 if conv.op_type == "ConvTranspose" else 0


def _fold_batch_norm(norm: Any, conv: Any, weights: Weights) -> None:
    scale, bias, mean, variance = (weights[name].astype(np.float64) for name in norm.input[1:5])
    epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    shape = [-1 if index == _out_axis(conv) else 1 for index in range(4)]
    old_bias = weights[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else 0.0
    _set_weights(conv, weights, weights[conv.input[1]] * factor.reshape(shape), (old_bias - mean) * factor + bias)


def _set_weights(conv: Any, weights: Weights, kernel: npt.NDArray[Any], bias: npt.NDArray[Any]) -> None:
    name = conv.input[0] + ".folded." + conv.output[0]
    weights[name], weights[name + ".bias"] = kernel.astype(np.float32), bias.astype(np.float32)
    rest = conv.input[0]
    del conv.input[:]
    conv.input.extend([rest, name, name + ".bias"])


def merge_linear_pairs(nodes: list[Any], weights: Weights, outputs: set[str]) -> list[Any]:
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


def take_bytes(nodes: list[Any], weights: Weights, image: str, *, swap: bool, scale: npt.NDArray[Any]) -> None:
    """Let the first convolutions take BGR instead of RGB (`swap`) and values `scale` times as large.

    Args:
        nodes, weights: the graph.
        image: the picture's name in it.
        swap: whether the original takes RGB.
        scale: (3,), in the order of the original's channels.

    Raises:
        KeyError: something else than a convolution with fixed weights over all three channels takes the picture.
    """
    for node in nodes:
        if image in node.input:
            kernel = weights[node.input[1]] if node.op_type == "Conv" else None
            if kernel is None or kernel.shape[1] != scale.size:
                raise KeyError(f"the picture goes into {node.op_type}")
            name = f"{node.input[1]}.bytes"
            scaled = kernel / scale.astype(np.float32)[:, None, None]
            weights[name] = np.ascontiguousarray(scaled[:, :: -1 if swap else 1], np.float32)
            node.input[1] = name


def rename(nodes: list[Any], old: str, new: str) -> None:
    """Let every node take `new` where it took `old`."""
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = new if name == old else name


def without_dead(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """Keep only what some output depends on."""
    needed = set(outputs)
    kept: list[Any] = []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def producers(nodes: list[Any]) -> dict[str, Any]:
    """Which node makes each value."""
    return {name: node for node in nodes for name in node.output}

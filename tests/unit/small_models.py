# SPDX-License-Identifier: Apache-2.0
"""Models of a few kilobytes that look like a CenterFace from outside, or do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from visavis.families.centerface import CHANNELS


def write_model(
    path: Path,
    *,
    channels: tuple[int, ...] = CHANNELS,
    picture: str = "data",
    opset: int = 13,
    after: str = "",
    kind: int = TensorProto.FLOAT,
) -> Path:
    """Write a model of one 4x4 convolution for each output that answers 0.1 everywhere.

    Args:
        channels: one output each, so many channels.
        picture: name of the input, (1, 3, h, w).
        opset: version of the operators.
        after: an operator behind each convolution.
        kind: element type of everything.
    """
    nodes: list[Any] = []
    for index in range(len(channels)):
        middle = f"middle{index}" if after else f"out{index}"
        inputs = [picture, f"weight{index}", f"bias{index}"]
        nodes.append(helper.make_node("Conv", inputs, [middle], kernel_shape=[4, 4], strides=[4, 4]))
        if after:
            nodes.append(helper.make_node(after, [middle], [f"out{index}"]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(picture, kind, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info(f"out{i}", kind, [1, count, "r", "c"]) for i, count in enumerate(channels)],
        [item for index, count in enumerate(channels) for item in _weights(index, count, kind)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _weights(index: int, count: int, kind: int) -> list[Any]:
    number = helper.tensor_dtype_to_np_dtype(kind)
    kernel, bias = np.zeros((count, 3, 4, 4), number), np.full(count, 0.1, number)
    return [numpy_helper.from_array(kernel, f"weight{index}"), numpy_helper.from_array(bias, f"bias{index}")]

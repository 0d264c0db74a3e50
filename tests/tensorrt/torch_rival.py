# SPDX-License-Identifier: Apache-2.0
"""The rival on a GPU: the same prepared network and weights, run by torch. Needs torch; only on_gpu.py uses it.

on_gpu.py checks that it finds the same faces before it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

Value = Any  # torch.Tensor


class Network:
    """Runs a prepared CenterFace node by node on the GPU.

    Args:
        model: the prepared ONNX file.
        half: float16 instead of float32.
    """

    def __init__(self, model: bytes, *, half: bool) -> None:
        torch.backends.cudnn.benchmark = True  # the shapes stay the same: let it try which algorithm is fastest
        graph = onnx.load_model_from_string(model).graph
        self._kind = torch.float16 if half else torch.float32
        self._nodes = list(graph.node)
        self._outputs = [output.name for output in graph.output]
        self._weights = {
            item.name: torch.from_numpy(numpy_helper.to_array(item).copy()).cuda().to(self._kind)
            for item in graph.initializer
        }

    def __call__(self, picture: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Upload (n, H, W, 3) uint8, infer, fetch float32 outputs."""
        with torch.inference_mode():
            return fetched(self.run(torch.from_numpy(picture).cuda(non_blocking=True)))

    def run(self, image: Value) -> list[Value]:
        """Infer on the GPU; outputs as float32."""
        values: dict[str, Value] = {**self._weights, "image": image}
        for node in self._nodes:
            values[node.output[0]] = OPERATIONS[node.op_type](self, node, [values[name] for name in node.input])
        return [values[name].float() for name in self._outputs]

    def cast(self, _node: Any, inputs: list[Value]) -> Value:
        return inputs[0].to(self._kind)

    def transpose(self, node: Any, inputs: list[Value]) -> Value:
        return inputs[0].permute(*attributes(node)["perm"]).contiguous()

    def conv(self, node: Any, inputs: list[Value]) -> Value:
        told = attributes(node)
        top, left, bottom, right = told.get("pads", [0, 0, 0, 0])
        padded = torch.nn.functional.pad(inputs[0], (left, right, top, bottom))
        return torch.nn.functional.conv2d(
            padded, *inputs[1:], stride=told.get("strides", [1, 1]), groups=told.get("group", 1)
        )

    def conv_transpose(self, node: Any, inputs: list[Value]) -> Value:
        told = attributes(node)
        return torch.nn.functional.conv_transpose2d(
            inputs[0], *inputs[1:], stride=told.get("strides", [1, 1]), groups=told.get("group", 1)
        )

    def relu(self, _node: Any, inputs: list[Value]) -> Value:
        return torch.relu(inputs[0])

    def add(self, _node: Any, inputs: list[Value]) -> Value:
        return inputs[0] + inputs[1]

    def sigmoid(self, _node: Any, inputs: list[Value]) -> Value:
        return torch.sigmoid(inputs[0])


class Recorded:
    """A network as one CUDA graph for pictures of one shape: without it Python's own time is most of torch's."""

    def __init__(self, network: Network, shape: tuple[int, ...]) -> None:
        self._image = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode():
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                for _ in range(3):
                    network.run(self._image)
            stream.synchronize()
            with torch.cuda.graph(self._graph):
                self._outputs = network.run(self._image)

    def __call__(self, picture: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """As `Network`."""
        self._image.copy_(torch.from_numpy(picture), non_blocking=True)
        self._graph.replay()
        return fetched(self._outputs)


def fetched(outputs: list[Value]) -> list[np.ndarray[Any, Any]]:
    """Wait, and bring the outputs to the host."""
    return [output.cpu().numpy() for output in outputs]


OPERATIONS: dict[str, Callable[[Network, Any, list[Value]], Value]] = {
    "Cast": Network.cast,
    "Transpose": Network.transpose,
    "Conv": Network.conv,
    "ConvTranspose": Network.conv_transpose,
    "Relu": Network.relu,
    "Add": Network.add,
    "Sigmoid": Network.sigmoid,
}


def attributes(node: Any) -> dict[str, Any]:
    """The node's attributes as plain values."""
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}

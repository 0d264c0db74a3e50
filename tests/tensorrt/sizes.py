# SPDX-License-Identifier: Apache-2.0
"""Print what makes an engine large: the table of docs/design/tensorrt.md. No GPU is needed.

    .venv/bin/python -m tests.tensorrt.sizes

Layers are the network's. Weights and the bytes of kernel sources are read from the finished engine.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType
from visavis.engines.builder import Recipe, build
from visavis.engines.int8 import (
    LEAST_WEIGHTS,
    Calibrated,
    _dense_weights,
    _quantised,
    calibrate,
    for_cpu,
    for_tensorrt,
    frames_of,
)
from visavis.engines.key import ONE_PICTURE, Profile
from visavis.engines.rewrite import for_many_pictures, in_half_precision

from tests.arrays import Array
from tests.tensorrt import core
from tests.tensorrt.models import centerface, face_pictures

SIZE = (640, 480)
SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
WEIGHTS = re.compile(r"Total Weights Memory: (\d+)")


class Weights(logging.Handler):
    """Hears TensorRT say how many bytes of weights an engine has."""

    bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        told = WEIGHTS.search(record.getMessage())
        self.bytes = int(told[1]) if told else self.bytes


def every(calibrated: Calibrated, options: dict[str, Any], *, dense_only: bool = False) -> bytes:
    """Every convolution in int8, as the quantiser does it by itself."""
    model = onnx.load_model_from_string(calibrated.model)
    sizes = {item.name: item.dims for item in model.graph.initializer}
    least = 1 if dense_only else 0
    chosen = [n.name for n in model.graph.node if n.op_type == "Conv" and _dense_weights(n, sizes) >= least]
    return _quantised(model, calibrated.ranges, QuantType.QInt8, chosen, SYMMETRIC | options)


def variants() -> Iterator[tuple[str, bytes, Profile]]:
    plain = centerface().content
    calibrated = calibrate(plain, frames_of(face_pictures(), SIZE))
    inputs: dict[str, Any] = {"OpTypesToExcludeOutputQuantization": ["Conv"]}
    yield "float32", plain, ONE_PICTURE
    yield "float32, 1 to 8 pictures", for_many_pictures(plain), Profile(1, 4, 8)
    yield "float16", in_half_precision(plain), ONE_PICTURE
    yield "int8, every convolution, inputs and outputs", every(calibrated, {}), ONE_PICTURE
    yield "int8, every convolution, inputs only", every(calibrated, inputs), ONE_PICTURE
    yield "int8, dense convolutions, inputs and outputs", every(calibrated, {}, dense_only=True), ONE_PICTURE
    yield "int8, dense convolutions, inputs only", for_tensorrt(calibrated, least_weights=1), ONE_PICTURE
    yield "int8, large dense convolutions, inputs only", for_tensorrt(calibrated), ONE_PICTURE
    yield "**the same, the rest in float16**", in_half_precision(for_tensorrt(calibrated)), ONE_PICTURE


def heat(model: bytes) -> list[Array]:
    """The heat map of each labelled picture, by onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a line for each scale in float16 that it does not fold
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_outputs()[0].name
    return [session.run([name], {"image": frame})[0] for frame in frames_of(face_pictures(), SIZE)]


def main() -> None:
    core.build_shim()
    core.take_part()
    trt, weights = importlib.import_module("tensorrt"), Weights()
    log = logging.getLogger("visavis.engines.builder")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(weights)
    expected: list[Array] = []
    print("| network | layers | engine MB | of it weights | kernel sources | largest error of the heat map |")
    print("|---|---|---|---|---|---|")
    for name, model, profile in variants():
        built = build(trt, model, Recipe(name=name, precision="fp32", profile=profile), lambda _fraction, _phase: True)
        kernels = built.plan.count(b"__global__ void")
        error = "" if profile != ONE_PICTURE else f"{largest(expected, heat(model)):.3f}"
        expected = expected or heat(model)
        size, of_weights = len(built.plan) / 1e6, weights.bytes / 1e6
        print(f"| {name} | {built.layers} | {size:.1f} | {of_weights:.1f} | {kernels} | {error} |", flush=True)
    calibrated = calibrate(centerface().content, frames_of(face_pictures(), SIZE))
    print(f"\nThe export for CPUs: largest error {largest(expected, heat(for_cpu(calibrated))):.3f}.")
    print_shares()


def print_shares() -> None:
    """What the choice of convolutions means."""
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(centerface().content))
    sizes = {item.name: tuple(item.dims) for item in model.graph.initializer}
    shapes = {v.name: v.type.tensor_type.shape.dim for v in (*model.graph.value_info, *model.graph.output)}
    rows = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            groups = next((item.i for item in node.attribute if item.name == "group"), 1)
            weights = int(np.prod(sizes[node.input[1]]))
            places = int(np.prod([side.dim_value for side in shapes[node.output[0]][2:]]))
            rows.append((groups, weights, weights * places, _dense_weights(node, sizes) >= LEAST_WEIGHTS))
    depthwise = [row for row in rows if row[0] > 1]
    dense, own = sum(row[0] * row[1] for row in depthwise), sum(row[1] for row in depthwise)
    print(
        f"{len(depthwise)} depthwise convolutions: {own:,} weights, {dense:,} when dense; "
        f"{share(rows, depthwise, 2):.0%} of the multiplications."
    )
    chosen = [row for row in rows if row[3]]
    print(
        f"{len(chosen)} of {len(rows)} convolutions quantised: {share(rows, chosen, 2):.0%} of the multiplications, "
        f"{share(rows, chosen, 1):.0%} of the weights."
    )


def share(rows: list[tuple[int, int, int, bool]], chosen: list[tuple[int, int, int, bool]], column: int) -> float:
    return sum(row[column] for row in chosen) / sum(row[column] for row in rows)


def largest(expected: list[Array], found: list[Array]) -> float:
    pairs = zip(expected, found, strict=bool(expected))
    return max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0)


if __name__ == "__main__":
    main()

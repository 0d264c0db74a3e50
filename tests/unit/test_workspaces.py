# SPDX-License-Identifier: Apache-2.0
"""What onnxruntime takes for values and within operators, measured, beside what a model is weighed at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from visavis.models.inspection import check_weight

SIDE = 512
MIB = 2**20
# Beside a model's values: what onnxruntime itself takes to run one for the first time.
OWN_MIB = 48
# A new process, since the most that a process had is never less again.
RUN = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
picture = numpy.zeros((1, 3, SIDE, SIDE), numpy.float32)
picture[...] = 1
def kib(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":"))
before = kib("VmRSS")
session.run(None, {"picture": picture})
print(kib("VmHWM") - before)
""".replace("SIDE", str(SIDE))


def convolution(operator: str, side: int, *inputs: str, made: str = "made", **more: Any) -> Any:
    return helper.make_node(operator, [*inputs], [made], **{"pads": [side // 2] * 4} | more)


def kernel(side: int, out: int, into: int, kind: type = np.float32) -> Any:
    return np.zeros((out, into, side, side), kind)


BYTES = helper.make_node("Cast", ["picture"], ["bytes"], to=TensorProto.UINT8)
OFFSETS = helper.make_node("Expand", ["nothing", "sides"], ["offsets"])
QUANTISED = ("bytes", "scale", "zero", "kernel", "scale", "zero", "scale", "zero")
SCALE, ZERO = np.float32(1), np.uint8(0)
FOUR_DIMENSIONS = helper.make_node("Reshape", ["picture", "six"], ["sheets"])


def linear(operator: str, value: str, made: str) -> Any:
    """QuantizeLinear or DequantizeLinear."""
    return helper.make_node(operator, [value, "scale", "zero"], [made])


def fused(*between: Any, takes: str = "numbers") -> tuple[list[Any], dict[str, Any]]:
    """A Conv that onnxruntime runs as a QLinearConv, with what is `between` the DequantizeLinear and it."""
    nodes = [
        linear("QuantizeLinear", "picture", "bytes"),
        linear("DequantizeLinear", "bytes", "numbers"),
        *between,
        linear("DequantizeLinear", "kernel", "weights"),
        convolution("Conv", 11, takes, "weights", made="sums"),
        linear("QuantizeLinear", "sums", "made"),
    ]
    return nodes, {"kernel": kernel(11, 1, 3, np.uint8), "scale": SCALE, "zero": ZERO}


CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Conv": ([convolution("Conv", 25, "picture", "kernel")], {"kernel": kernel(25, 1, 3)}),
    "Conv with four dimensions": (
        [FOUR_DIMENSIONS, convolution("Conv", 7, "sheets", "kernel", pads=[3, 3, 0, 0] * 2)],
        {"kernel": kernel(7, 1, 3)[..., None, None], "six": np.array([1, 3, SIDE, SIDE, 1, 1])},
    ),
    "Conv between numbers that are dequantised": fused(),
    "Conv some way behind them": fused(
        helper.make_node("MaxPool", ["numbers"], ["greatest"], kernel_shape=[3, 3], pads=[1] * 4), takes="greatest"
    ),
    "ConvTranspose": ([convolution("ConvTranspose", 15, "picture", "kernel")], {"kernel": kernel(15, 3, 1)}),
    "ConvInteger": (
        [BYTES, convolution("ConvInteger", 17, "bytes", "kernel")],
        {"kernel": kernel(17, 1, 3, np.uint8)},
    ),
    "QLinearConv": (
        [BYTES, convolution("QLinearConv", 11, *QUANTISED)],
        {"kernel": kernel(11, 1, 3, np.uint8), "scale": SCALE, "zero": ZERO},
    ),
    "QLinearConv with a signed kernel": (
        [BYTES, convolution("QLinearConv", 11, *QUANTISED[:5], "none", *QUANTISED[6:])],
        {"kernel": kernel(11, 8, 3, np.int8), "scale": SCALE, "zero": ZERO, "none": np.int8(0)},
    ),
    "QLinearConv of each channel": (
        [BYTES, convolution("QLinearConv", 11, *QUANTISED, group=3)],
        {"kernel": kernel(11, 3, 1, np.uint8), "scale": SCALE, "zero": ZERO},
    ),
    "DeformConv": (
        [OFFSETS, convolution("DeformConv", 3, "picture", "kernel", "offsets")],
        {"kernel": kernel(3, 1, 3), "nothing": SCALE * 0, "sides": np.array([1, 18, SIDE, SIDE])},
    ),
    "DeformConv with offsets of each channel": (
        [OFFSETS, convolution("DeformConv", 3, "picture", "kernel", "offsets", group=3, offset_group=3)],
        {"kernel": kernel(3, 3, 1), "nothing": SCALE * 0, "sides": np.array([1, 54, SIDE, SIDE])},
    ),
}


def model_of(nodes: list[Any], weights: dict[str, Any]) -> Any:
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    last = helper.make_node("Cast", ["made"], ["answer"], to=TensorProto.FLOAT)
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph([*nodes, last], "one", [picture], [answer], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.mark.parametrize("case", CASES)
def test_an_operator_takes_about_what_it_is_weighed_at(case: str, tmp_path: Path) -> None:
    model = model_of(*CASES[case])
    onnx.save(model, tmp_path / "one.onnx")
    ran = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path / "one.onnx")], check=True, capture_output=True, text=True
    )
    took_mib, weighed_mib = int(ran.stdout) / 1024, check_weight(case, model, (1, 3, SIDE, SIDE)) / MIB
    assert weighed_mib / 2 - OWN_MIB < took_mib < weighed_mib + OWN_MIB

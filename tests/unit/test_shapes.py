# SPDX-License-Identifier: Apache-2.0
"""Shapes that exporters compute inside the graph are known before any runtime is."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from visavis.models.shapes import shapes

PICTURE = (1, 3, 96, 128)
node = helper.make_node


def ints(*values: int) -> Any:
    return numpy_helper.from_array(np.array(values, np.int64), "_".join(map(str, values)).replace("-", "m"))


def scaled_up() -> list[Any]:
    """As PyTorch writes `interpolate(small, size=image.shape[2:])`."""
    return [
        node("MaxPool", ["image"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", ["image"], ["all"]),
        node("Slice", ["all", "2", "4", "0"], ["sides"]),
        node("Shape", ["small"], ["of_small"]),
        node("Slice", ["of_small", "0", "2", "0"], ["planes"]),
        node("Concat", ["planes", "sides"], ["sizes"], axis=0),
        node("Resize", ["small", "nothing", "nothing", "sizes"], ["answer"], mode="nearest"),
    ]


def doubled() -> list[Any]:
    """As TensorFlow's exporter writes `UpSampling2D`, and with factors in place of sizes."""
    return [
        node("Shape", ["image"], ["all"]),
        node("Cast", ["all"], ["floats"], to=TensorProto.FLOAT),
        node("Mul", ["floats", "factors"], ["more"]),
        node("Floor", ["more"], ["whole"]),
        node("Div", ["whole", "floats"], ["scales"]),
        node("Resize", ["image", "nothing", "scales"], ["answer"], mode="nearest"),
    ]


def listed() -> list[Any]:
    """As PyTorch writes `image.view(len(image), -1, height // 2)`."""
    return [
        node("Shape", ["image"], ["all"]),
        node("Gather", ["all", "first"], ["count"], axis=0),
        node("Unsqueeze", ["count"], ["counts"], axes=[0]),
        node("Gather", ["all", "third"], ["rows"], axis=0),
        node("Div", ["rows", "two"], ["half"]),
        node("Unsqueeze", ["half"], ["halves"], axes=[0]),
        node("Concat", ["counts", "m1", "halves"], ["sides"], axis=0),
        node("Reshape", ["image", "sides"], ["answer"]),
    ]


def model(nodes: list[Any]) -> Any:
    weights = [ints(2), ints(4), ints(0), ints(-1)]
    numbers = {
        "first": np.int64(0),
        "third": np.int64(2),
        "two": np.int64(2),
        "nothing": np.zeros(0, np.float32),
        "factors": np.array([1, 1, 2, 2], np.float32),
    }
    weights += [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, PICTURE)
    given = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "shapes", [taken], [given], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


@pytest.mark.parametrize("nodes", [scaled_up(), doubled(), listed()], ids=["scaled_up", "doubled", "listed"])
def test_the_shape_is_the_one_that_a_runtime_gives(nodes: list[Any]) -> None:
    written = model(nodes)
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"image": np.zeros(PICTURE, np.float32)})
    known = shapes(written)
    assert None not in known.values()
    assert known["answer"] == answer.shape


@pytest.mark.parametrize(
    "nodes",
    [
        [node("NonZero", ["image"], ["found"]), node("Cast", ["found"], ["answer"], to=TensorProto.FLOAT)],
        [
            node("Cast", ["image"], ["words"], to=TensorProto.STRING),
            node("Cast", ["words"], ["answer"], to=TensorProto.FLOAT),
        ],
        [
            node("ReduceMax", ["image"], ["most"]),
            node("Cast", ["most"], ["n"], to=TensorProto.INT64),
            node("Reshape", ["n", "m1"], ["sides"]),
            node("ConstantOfShape", ["sides"], ["answer"]),
        ],
    ],
    ids=["found", "text", "filled"],
)
def test_what_depends_on_the_picture_stays_unknown(nodes: list[Any]) -> None:
    assert None in shapes(model(nodes)).values()


def test_a_quotient_below_zero_is_not_worked_out() -> None:
    nodes = [
        node("Sub", ["first", "two"], ["less"]),
        node("Div", ["less", "two"], ["none"]),
        node("Unsqueeze", ["none"], ["sides"], axes=[0]),
        node("ConstantOfShape", ["sides"], ["answer"]),
    ]
    assert shapes(model(nodes))["answer"] is None

# SPDX-License-Identifier: Apache-2.0
"""Small networks of known shape and fault, beside the real one that `prepared_model` makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from visavis.models.cache import Prepared, prepared_model

WIDTH, HEIGHT = 64, 32
FACES = Path(__file__).resolve().parents[3] / "shared" / "data" / "faces"


def centerface() -> Prepared:
    """The real thing, 640x480."""
    return prepared_model("centerface", 640, 480)


def tiny(*, op: str = "Relu", channels: int = 4) -> bytes:
    """uint8 picture in, one convolution and `op` out: builds in a blink."""
    generator = np.random.default_rng(7)
    kernel = generator.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node(op, ["mixed"], ["heat"], **({} if op == "Relu" else {"domain": "nobody.knows"})),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, channels, HEIGHT, WIDTH])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("nobody.knows", 1)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def prepared_tiny(channels: int = 4) -> Prepared:
    """`tiny` as if it came from the model cache."""
    return Prepared(name="tiny", family="centerface", content=tiny(channels=channels), path=None)


def face_pictures() -> list[Path]:
    """The labelled pictures, or a skip that says why."""
    if not FACES.is_dir():
        pytest.skip(f"no pictures of faces in {FACES}")
    return sorted(FACES.glob("*.jpg"))


def kinds_of(model: bytes) -> dict[str, int]:
    """How many nodes of each kind."""
    kinds: dict[str, int] = {}
    for node in onnx.load_model_from_string(model).graph.node:
        kinds[node.op_type] = kinds.get(node.op_type, 0) + 1
    return kinds

# SPDX-License-Identifier: Apache-2.0
"""Networks that normalise the picture by themselves, as PyTorch users export them, are not normalised once more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from visavis.errors import ModelError
from visavis.families.centerface import CHANNELS
from visavis.models import graph
from visavis.models import prepare as preparing
from visavis.models.manifest import Original, entries
from visavis.models.normalisation import NOTHING, Affine, taken_out
from visavis.models.prepare import prepare

from tests.arrays import Array
from tests.unit.model_files import scrfd_like
from tests.unit.test_model_cli import model
from tests.unit.test_prepare import run

PICTURE = np.random.default_rng(5).integers(0, 255, (1, 64, 96, 3), np.uint8)
# RGB, as torchvision has them for values from 0 to 1.
MEAN, STD = (
    np.array(numbers, np.float32).reshape(1, 3, 1, 1) for numbers in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)


class Front(NamedTuple):
    """Operators before a network: each takes what the one before it made (`None` where that stands), and constants."""

    steps: list[tuple[str, list[Array | None]]]

    def before(self, whole: Any) -> bytes:
        """A model with these operators between its picture and everything else."""
        graph, name = whole.graph, whole.graph.input[0].name
        nodes, taken = [], name
        for number, (operator, inputs) in enumerate(self.steps):
            names = [taken if value is None else f"front{number}.{place}" for place, value in enumerate(inputs)]
            for constant, value in zip(names, inputs, strict=True):
                if value is not None:  # PyTorch writes numbers as Constant nodes
                    tensor = numpy_helper.from_array(value, constant)
                    nodes.append(helper.make_node("Constant", [], [constant], value=tensor))
            nodes.append(helper.make_node(operator, names, [taken := f"front{number}"]))
            if operator == "Cast":
                nodes[-1].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        for node in graph.node:
            for place, used in enumerate(node.input):
                node.input[place] = taken if used == name else used
        after = list(graph.node)
        del graph.node[:]
        graph.node.extend([*nodes, *after])
        onnx.checker.check_model(whole, full_check=True)
        return bytes(whole.SerializeToString())


def number(value: float) -> Array:
    return np.array(value, np.float32)


def three(*values: float) -> Array:
    return np.array(values, np.float32)


DIVIDED = Front([("Div", [None, number(255)])])
OF_BYTES = {
    "image / 255": DIVIDED,
    "image * (1 / 255)": Front([("Mul", [number(1 / 255), None])]),
    "image - 127": Front([("Sub", [None, number(127)])]),
    "mean and deviation of bytes": Front([("Sub", [None, 255 * MEAN]), ("Div", [None, 255 * STD])]),
    "to 0..1, then mean and deviation": Front(
        [("Identity", [None]), ("Cast", [None]), *DIVIDED.steps, ("Sub", [None, MEAN]), ("Div", [None, STD])]
    ),
    "1 - image / 255": Front([*DIVIDED.steps, ("Sub", [number(1), None])]),
    "to -1..1": Front([("Mul", [None, number(2 / 255)]), ("Add", [None, number(-1)])]),
    "batch normalisation": Front(
        [("BatchNormalization", [None, three(1, 2, 3), three(0, 1, 2), three(90, 120, 150), three(2000, 4000, 900)])]
    ),
}
OF_UNITS = {
    "mean and deviation": Front([("Sub", [None, MEAN]), ("Div", [None, STD])]),
    "to -1..1": Front([("Mul", [None, number(2)]), ("Sub", [None, number(1)])]),
    "to bytes": Front([("Mul", [None, number(255.0)])]),
}


def network() -> Any:
    """A model with CenterFace's inputs and outputs, whose convolutions pad the picture with zeros."""
    chance = np.random.default_rng(11)
    nodes, weights = [], []
    for index, count in enumerate(CHANNELS):
        kernel = chance.normal(0, 0.05, (count, 3, 6, 6)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"weight{index}"))
        nodes.append(
            helper.make_node("Conv", ["image", f"weight{index}"], [f"out{index}"], strides=[4, 4], pads=[1, 1, 1, 1])
        )
    outputs = [
        helper.make_tensor_value_info(f"out{index}", TensorProto.FLOAT, [1, count, "r", "c"])
        for index, count in enumerate(CHANNELS)
    ]
    taken = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "network", [taken], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def of_family(family: str, content: bytes) -> Original:
    entry = msgspec.structs.replace(entries()["centerface"], family=family)
    return Original(name="mine", entry=entry, content=content, sha256="")


def answers_as_the_original(family: str, content: bytes, planes: Array) -> None:
    theirs = run(content, np.ascontiguousarray(planes, np.float32))
    for ours, other in zip(run(prepare(of_family(family, content), 96, 64), PICTURE), theirs, strict=True):
        assert other.size > 0
        np.testing.assert_allclose(ours, other.reshape(ours.shape), rtol=1e-3, atol=1e-3)


RGB = PICTURE[..., ::-1].transpose(0, 3, 1, 2)


@pytest.mark.parametrize("front", OF_BYTES.values(), ids=OF_BYTES)
def test_a_graph_that_normalises_bytes_gets_bytes(front: Front) -> None:
    answers_as_the_original("centerface", front.before(network()), RGB)


@pytest.mark.parametrize("front", OF_UNITS.values(), ids=OF_UNITS)
def test_a_graph_that_normalises_values_from_0_to_1_gets_those(front: Front) -> None:
    answers_as_the_original("centerface", front.before(network()), RGB / 255)


def test_what_a_family_does_outside_is_not_done_twice() -> None:
    inside = Front([("Sub", [None, number(127.5)]), ("Div", [None, number(128)])])
    plain = scrfd_like()
    content = inside.before(onnx.load_model_from_string(plain))
    answers_as_the_original("scrfd", content, RGB)
    twice, once = (run(prepare(of_family("scrfd", one), 96, 64), PICTURE) for one in (content, plain))
    for ours, theirs in zip(twice, once, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_network_that_only_hands_the_picture_on_is_normalised_as_its_family_wants() -> None:
    content = Front([("Identity", [None])]).before(onnx.load_model_from_string(scrfd_like()))
    answers_as_the_original("scrfd", content, (RGB - 127.5) / 128)


# image.flip(1): starts, ends, axes, steps
BACKWARDS = [np.array([value], np.int64) for value in (-1, -(2**31), 1, -1)]


@pytest.mark.parametrize(
    ("front", "reason"),
    [
        (Front([("Relu", [None])]), "the picture goes into Relu"),
        (Front([("Slice", [None, *BACKWARDS])]), "the picture goes into Slice"),
        (Front([("Div", [number(1), None])]), "the picture goes into Div"),
        (Front([("Mul", [None, number(0)])]), "the picture goes into Mul"),
        (Front([("Mul", [None, np.ones((1, 1, 64, 96), np.float32)])]), "the picture goes into Mul"),
        (Front([("Mul", [None, number(1000)])]), r"fits neither 0\.\.255 nor 0\.\.1"),
    ],
)
def test_what_is_no_normalisation_is_refused(front: Front, reason: str) -> None:
    with pytest.raises(ModelError, match=f"cannot prepare mine, its graph is not a centerface .*{reason}"):
        prepare(of_family("centerface", front.before(network())), 96, 64)


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
def test_texts_in_place_of_numbers_are_refused(operator: str) -> None:
    whole = onnx.load_model_from_string(Front([(operator, [None, number(1)])]).before(network()))
    whole.graph.node[0].attribute[0].t.CopyFrom(numpy_helper.from_array(np.array(["1"], object), "text"))
    with pytest.raises(ModelError, match=f"cannot prepare mine, .*the picture goes into {operator}"):
        prepare(of_family("centerface", whole.SerializeToString()), 96, 64)


def test_texts_in_place_of_weights_are_refused() -> None:
    whole = network()
    texts = np.full(tuple(whole.graph.initializer[0].dims), "1", object)
    whole.graph.initializer[0].CopyFrom(numpy_helper.from_array(texts, "weight0"))
    with pytest.raises(ModelError, match="cannot prepare mine, its graph is not a centerface"):
        prepare(of_family("centerface", whole.SerializeToString()), 96, 64)


def test_the_original_decides_whether_it_was_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    def misread(*words: Any) -> tuple[list[Any], Affine]:
        nodes, own = taken_out(*words)
        return nodes, own.then(Affine(NOTHING.gain * 1.01, NOTHING.offset))

    monkeypatch.setattr(preparing, "taken_out", misread)
    with pytest.raises(ModelError, match=r"cannot prepare mine, prepared it answers .* times as far from its original"):
        prepare(of_family("centerface", DIVIDED.before(network())), 96, 64)


@pytest.mark.parametrize("family", ["centerface", "scrfd"])
def test_a_plain_graph_that_was_rewritten_wrongly_is_refused_too(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(network().SerializeToString()) if family == "centerface" else scrfd_like()
    take_bytes = graph.take_bytes

    def misread(*words: Any, swap: bool, scale: Any) -> None:
        take_bytes(*words, swap=swap, scale=scale * 1.5)

    assert prepare(of_family(family, content), 96, 64)
    monkeypatch.setattr(graph, "take_bytes", misread)
    with pytest.raises(ModelError, match=r"cannot prepare mine, prepared it answers .* times as far from its original"):
        prepare(of_family(family, content), 96, 64)


def test_an_original_of_one_size_is_asked_at_that_size() -> None:
    fixed = network()
    for side, value in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (2, 3, 32, 64), strict=True):
        side.dim_value = value
    for output in fixed.graph.output:
        for side, name in zip(output.type.tensor_type.shape.dim, ("n", "", "r", "c"), strict=True):
            if name:
                side.dim_param = name
    assert prepare(of_family("centerface", DIVIDED.before(fixed)), 96, 64)


@pytest.mark.parametrize(
    ("front", "told"), [(DIVIDED, "bytes"), (OF_UNITS["mean and deviation"], "0..1"), (Front([]), None)]
)
def test_import_tells_what_a_network_does_by_itself(front: Front, told: str | None, tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(front.before(network()))
    answer = model(tmp_path, "import", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["normalises"] == told
    shown = model(tmp_path, "import", str(file)).stdout
    assert ("normalises" in shown) == bool(told)
    assert f"normalises {told} by itself" in shown or told is None

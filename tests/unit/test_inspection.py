# SPDX-License-Identifier: Apache-2.0
"""What no runtime may see: a corpus of hostile and broken files, each refused with its own reason."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from visavis.engines.int8 import calibrate, for_cpu
from visavis.errors import ModelError
from visavis.models import agreement, inspection
from visavis.models.identify import identified
from visavis.models.inspection import check_weight, inspected
from visavis.models.manifest import MOST_BYTES, Original, original
from visavis.models.prepare import prepare
from visavis.models.wire import MESSAGES

from tests.unit.model_files import MODELS, SCRFD, provided, scrfd_like

GOOD = scrfd_like()
STRUCTURE = 4_000


def loaded() -> Any:
    return onnx.load_model_from_string(GOOD)


def bytes_of(model: Any) -> bytes:
    return bytes(model.SerializeToString())


def outside(location: str) -> bytes:
    model = loaded()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    return bytes_of(model)


def outside_in_an_attribute() -> bytes:
    model = loaded()
    hidden = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="../secret")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["hidden"], value=hidden))
    return bytes_of(model)


def sparse_weight() -> Any:
    """Of two numbers in the file onnxruntime makes a gigabyte, as soon as it loads it."""
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [5]), [2**28])


def with_sparse_weight() -> bytes:
    model = loaded()
    model.graph.sparse_initializer.append(sparse_weight())
    return bytes_of(model)


def with_sparse_constant() -> bytes:
    model = loaded()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse_weight()))
    return bytes_of(model)


def with_own_operator() -> bytes:
    model = loaded()
    model.opset_import.add(domain="evil.example", version=1)
    model.graph.node.append(helper.make_node("Run", ["input.1"], ["x"], domain="evil.example"))
    return bytes_of(model)


def with_function() -> bytes:
    model = loaded()
    model.functions.append(helper.make_function("", "f", ["a"], ["a"], [], [helper.make_opsetid("", 11)]))
    return bytes_of(model)


def with_nested_graph() -> bytes:
    model = loaded()
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["input.1"], ["x"], then_branch=body, else_branch=body))
    return bytes_of(model)


def with_many_nodes() -> bytes:
    model = loaded()
    node = helper.make_node("Relu", ["input.1"], ["x"])
    model.graph.node.extend([node] * (inspection.MOST_NODES + 1))
    return bytes_of(model)


def with_weight(dims: list[int]) -> bytes:
    model = loaded()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    return bytes_of(model)


def with_input(shape: list[Any], kind: int = TensorProto.FLOAT, more: bool = False) -> bytes:
    model = loaded()
    picture = helper.make_tensor_value_info("input.1", kind, shape)
    model.graph.input[0].CopyFrom(picture)
    if more:
        model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [1]))
    return bytes_of(model)


def with_picture_bent() -> bytes:
    model = loaded()
    model.graph.node.insert(0, helper.make_node("Relu", ["input.1"], ["bent"]))
    for node in model.graph.node[1:]:
        node.input[0] = "bent" if node.input[0] == "input.1" else node.input[0]
    return bytes_of(model)


def many(parts: bytes, *inside: int) -> bytes:
    """A file with a million of some parts, in the fields of these numbers, the innermost last."""
    content = parts * (1_000_000 // len(parts) * 2)
    for number in reversed(inside):
        length, tag = len(content), number << 3 | 2
        content = varint(tag) + varint(length) + content
    return content


def varint(value: int) -> bytes:
    low = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return low + varint(value >> 7) if value > 0x7F else low


MANY = "it has more than 500000 parts"


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"not a model", "not a valid ONNX model"),
    "nothing": (lambda: b"", "computes nothing"),
    "cut off": (lambda: GOOD[:-1000], "not a valid ONNX model"),
    "parent folder": (lambda: outside("../secret"), "weights in other files"),
    "password file": (lambda: outside("/etc/passwd"), "weights in other files"),
    "beside": (lambda: outside("weights.bin"), "weights in other files"),
    "in an attribute": (outside_in_an_attribute, r"weights in other files \(hidden\)"),
    "sparse weight": (with_sparse_weight, "its weight w is written sparsely"),
    "sparse constant": (with_sparse_constant, "its weight w is written sparsely"),
    "own operator": (with_own_operator, r"operators of its own \(evil\.example\)"),
    "function": (with_function, "operators of its own"),
    "nested graph": (with_nested_graph, r"graphs within its graph \(If\)"),
    "many operators": (with_many_nodes, "operators, the limit is 10000"),
    "millions of operators": (lambda: many(b"\x0a\x00", 7), MANY),
    "millions of attributes": (lambda: many(b"\x2a\x00", 7, 1), MANY),
    "millions of operators inside": (lambda: many(b"\x0a\x00", 7, 1, 5, 6), MANY),
    "millions of functions": (lambda: many(b"\xca\x01\x00"), MANY),
    "millions of sides": (lambda: many(b"\x0a\x00", 7, 13, 2, 1, 2), MANY),
    "millions of weights": (lambda: many(b"\x2a\x00", 7), MANY),
    "millions of weights in an attribute": (lambda: many(b"\x52\x00", 7, 1, 5), MANY),
    "huge weight": (lambda: with_weight([100_000, 100_000]), r"claims the shape \[100000, 100000\]"),
    "negative weight": (lambda: with_weight([-1, 3]), "claims the shape"),
    "weight of another size": (lambda: with_weight([2, 3, 9, 9]), "not a valid ONNX model|is not a scrfd"),
    "bent picture": (with_picture_bent, "its graph is not a scrfd"),
    "huge input": (lambda: with_input([1, 3, 2**30, 2**30]), "its input.1 claims the shape"),
    "two inputs": (
        lambda: with_input([1, 3, "h", "w"], more=True),
        "it has 2 inputs: export it with one input, float32 of",
    ),
    "grey input": (lambda: with_input([1, 1, "h", "w"]), r"\[1, 1, 0, 0\], not \(pictures, 3, .*: export it with"),
    "flat input": (lambda: with_input([3, "h", "w"]), r"not \(pictures, 3, height, width\): export it with one"),
    "double input": (lambda: with_input([1, 3, "h", "w"], TensorProto.DOUBLE), "not float32: export it with one input"),
}


def as_original(content: bytes) -> Original:
    return Original(name="hostile", entry=identified(GOOD, Path("good.onnx")), content=content, sha256="")


def test_the_good_file_passes() -> None:
    assert inspected(GOOD, "good").graph.node
    assert prepare(as_original(GOOD), 64, 64)


def test_operators_that_are_announced_and_not_used_do_no_harm() -> None:
    model = loaded()
    model.opset_import.add(domain="ai.onnx.ml", version=2)  # as tf2onnx always does
    prepared = onnx.load_model_from_string(prepare(as_original(bytes_of(model)), 64, 64))
    assert [item.domain for item in prepared.opset_import] == [""]


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_with_its_reason(case: str) -> None:
    make, reason = HOSTILE[case]
    with pytest.raises(ModelError, match=reason):
        prepare(as_original(make()), 64, 64)


def bomb(*nodes: Any, **weights: Any) -> bytes:
    """The good file, whose score_8 also takes the number `most` that the nodes make."""
    model = loaded()
    model.graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in weights.items())
    [last] = [node for node in model.graph.node if node.output[0] == "score_8"]
    model.graph.node.remove(last)
    model.graph.node.extend(nodes)
    model.graph.node.append(helper.make_node("Add", ["score_8.flat", "most"], ["score_8.more"]))
    model.graph.node.append(helper.make_node("Sigmoid", ["score_8.more"], ["score_8"]))
    return bytes_of(model)


def sides_of_the_picture() -> list[Any]:
    """`sides` are those that shapes do not tell: [100_000, 100_000] plus nothing times the picture."""
    return [
        helper.make_node("ReduceMean", ["score_8.map"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "huge"], ["float_sides"]),
        helper.make_node("Cast", ["float_sides"], ["sides"], to=TensorProto.INT64),
    ]


def filled_and_reduced() -> list[Any]:
    return [
        helper.make_node("ConstantOfShape", ["sides"], ["bomb"]),
        helper.make_node("ReduceMax", ["bomb"], ["most"], keepdims=0),
    ]


def many_expanded(count: int) -> list[Any]:
    """Each of `count` values is small enough, and all are needed at once."""
    names = [f"part_{number}" for number in range(count)]
    return [
        *(helper.make_node("Expand", ["score_8.bias", "sides"], [name]) for name in names),
        helper.make_node("Sum", names, ["all"]),
        helper.make_node("ReduceMax", ["all"], ["most"], keepdims=0),
    ]


def spread_by_a_large_kernel() -> list[Any]:
    """What goes in and comes out takes 4 MiB; onnxruntime lays out the kernel at each place in between."""
    return [
        helper.make_node("Expand", ["one", "sides"], ["wide"]),
        helper.make_node("ConvTranspose", ["wide", "kernel"], ["spread"]),
        helper.make_node("ReduceMax", ["spread"], ["most"], keepdims=0),
    ]


HUGE = np.array([100_000, 100_000], np.float32)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "one huge value": (
        lambda: bomb(*filled_and_reduced(), sides=[100_000, 100_000]),
        "one of its values takes 38146 MiB: use another",
    ),
    "sides that the picture's numbers give": (
        lambda: bomb(*sides_of_the_picture(), *filled_and_reduced(), zero=np.float32(0), huge=HUGE),
        "how large its value bomb is does not follow from the size of the picture: export it for one size",
    ),
    "much between small values": (
        lambda: bomb(
            *spread_by_a_large_kernel(),
            one=np.ones((1, 1, 1, 1), np.float32),
            sides=[1, 1, 1024, 1024],
            kernel=np.zeros((1, 1, 25, 25), np.float32),
        ),
        "one of its values takes 2500 MiB: use another",
    ),
    "many large values": (
        lambda: bomb(*many_expanded(40), sides=[4096, 1024, 2]),
        "its values take 1312 MiB together: use another",
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_memory_bomb_is_refused_before_any_runtime_allocates(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, reason = BOMBS[case]
    monkeypatch.setattr(agreement, "answers", no_runtime)
    content = make()
    assert len(content) < len(GOOD) + 4000
    with pytest.raises(ModelError, match=reason):
        prepare(as_original(content), 64, 64)


def no_runtime(*_: object) -> list[Any]:
    raise AssertionError("a runtime got the bomb")


def test_what_a_file_says_of_its_own_values_is_not_believed() -> None:
    model = onnx.load_model_from_string(BOMBS["sides that the picture's numbers give"][0]())
    model.graph.value_info.append(helper.make_tensor_value_info("bomb", TensorProto.FLOAT, [1, 1]))
    with pytest.raises(ModelError, match="how large its value bomb is does not follow"):
        check_weight("hostile", model, (1, 3, 64, 64))


@pytest.mark.parametrize("model", MODELS)
def test_a_model_in_int8_is_whole_and_no_bomb(model: str, tmp_path: Path) -> None:
    plain = prepare(original(provided(model, tmp_path), cache_dir=tmp_path), 320, 256)
    picture = np.random.default_rng(1).integers(0, 255, (1, 256, 320, 3), np.uint8)
    quantised = onnx.load_model_from_string(for_cpu(calibrate(plain, [picture])))
    onnx.checker.check_model(quantised, full_check=True)  # as a file must be, for whoever reads it
    assert any(node.op_type == "DequantizeLinear" for node in quantised.graph.node)
    assert check_weight(model, quantised, picture.shape)


def test_a_picture_of_absurd_size_is_not_made_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "answers", no_runtime)
    reason = r"at its own size, 1 x 32768x32768, its values take \d+ MiB together: export it for a smaller picture"
    with pytest.raises(ModelError, match=reason):
        prepare(as_original(with_input([1, 3, 2**15, 2**15])), 64, 64)


def test_a_bomb_that_no_output_needs_is_cut_away() -> None:
    model = loaded()
    model.graph.initializer.append(numpy_helper.from_array(np.array([100_000, 100_000], np.int64), "sides"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sides"], ["bomb"]))
    assert b"ConstantOfShape" not in prepare(as_original(bytes_of(model)), 64, 64)


def test_a_file_that_is_too_large_is_not_even_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ModelError, match="larger than 200 MiB"):
        original(str(path))


def test_a_model_of_no_family_is_refused_with_what_it_has(tmp_path: Path) -> None:
    model = loaded()
    del model.graph.output[1:]
    reason = (
        r"odd\.onnx is not a model of a known family, it has outputs score_8 \[\?, 1\]: wanted is centerface, outputs"
    )
    with pytest.raises(ModelError, match=reason):
        identified(bytes_of(model), Path("odd.onnx"))


def test_a_model_of_another_family_than_asked_for_is_refused() -> None:
    with pytest.raises(
        ModelError, match=r"good\.onnx is not a yunet, it has outputs .*: wanted is yunet, outputs cls_8"
    ):
        identified(GOOD, Path("good.onnx"), "yunet")


@pytest.mark.parametrize("model", [SCRFD, "yunet-n", "ultraface-slim-320"])
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(places=st.lists(st.floats(0, 1), min_size=1, max_size=4), noise=st.binary(min_size=1, max_size=12))
def test_a_spoiled_file_is_prepared_or_refused_with_the_one_error(
    model: str, places: list[float], noise: bytes, tmp_path: Path
) -> None:
    source = original(provided(model, tmp_path), cache_dir=tmp_path)
    spoiled = bytearray(source.content)
    for place in places:
        at = structure(len(spoiled), place)
        spoiled[at : at + len(noise)] = noise
    with contextlib.suppress(ModelError):
        prepare(msgspec.structs.replace(source, content=bytes(spoiled)), 64, 64)


def structure(size: int, place: float) -> int:
    """A place in the operators at a file's start or in the inputs and outputs at its end; weights lie between."""
    return int(place * 2 * STRUCTURE) if place < 0.5 else size - int((1 - place) * 2 * STRUCTURE) - 1


SPOILERS: list[Callable[[random.Random, Any, Any], None]] = [
    lambda _, graph, node: graph.node.remove(node),
    lambda dice, _, node: node.input.pop(dice.randrange(len(node.input))) if node.input else None,
    lambda dice, _, node: setattr(node, "op_type", dice.choice(["Conv", "Concat", "Reshape", "BatchNormalization"])),
    lambda dice, _, node: node.attribute.pop(dice.randrange(len(node.attribute))) if node.attribute else None,
    lambda dice, graph, node: node.input.__setitem__(slice(0, 1), [dice.choice(graph.node).output[0]]),
    lambda dice, graph, node: node.output.__setitem__(0, dice.choice(graph.node).output[0]),
    lambda dice, graph, _: dice.choice(graph.initializer).dims.append(dice.randrange(4)),
    lambda dice, graph, _: setattr(dice.choice(graph.initializer), "data_type", dice.choice([1, 6, 7, 10, 11, 99])),
]


@pytest.mark.parametrize("model", [SCRFD, "yunet-n", "ultraface-slim-320"])
def test_a_graph_that_makes_no_sense_is_prepared_or_refused_with_the_one_error(model: str, tmp_path: Path) -> None:
    source = original(provided(model, tmp_path), cache_dir=tmp_path)
    base, refused = onnx.load_model_from_string(source.content), 0
    for seed in range(80):
        dice, spoiled = random.Random(seed), onnx.ModelProto()
        spoiled.CopyFrom(base)
        for _ in range(dice.randint(1, 3)):
            dice.choice(SPOILERS)(dice, spoiled.graph, dice.choice(spoiled.graph.node))
        try:
            prepare(msgspec.structs.replace(source, content=bytes_of(spoiled)), 64, 64)
        except ModelError:
            refused += 1
    assert refused > 40


def test_every_message_of_a_model_is_walked_through() -> None:
    """As far as this release of onnx knows them."""
    waiting, seen = [("model", onnx.ModelProto.DESCRIPTOR)], set()
    while waiting:
        name, message = waiting.pop()
        for field in message.fields:
            if field.message_type is not None:
                assert field.number in MESSAGES[name], f"{message.name}.{field.name} is not counted"
                inner = (MESSAGES[name][field.number], field.message_type)
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
    assert len(seen) > 20

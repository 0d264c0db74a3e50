# SPDX-License-Identifier: Apache-2.0
"""A form of a model that no longer finds the faces is refused before TensorRT builds it, and nothing is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import numpy_helper
from visavis.detections import Frame
from visavis.engines import forms
from visavis.engines.cache import Here, Wanted, engine_for, find, of_files
from visavis.engines.int8 import Calibrated, calibrate, frames_of
from visavis.engines.key import Gpu, Precision
from visavis.engines.rewrite import in_half_precision
from visavis.errors import ModelError
from visavis.models.cache import Prepared, prepared_model

from tests.tensorrt.models import face_pictures, kinds_of

SIZE = (320, 256)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared_model("centerface", *SIZE, tmp_path_factory.mktemp("cache"))


def weakened(content: bytes, times: float) -> bytes:
    """A conversion gone wrong: every weight is another."""
    network = onnx.load_model_from_string(content)
    for item in network.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) * np.float32(times), item.name))
    return bytes(network.SerializeToString())


def second_without_numbers(content: bytes) -> bytes:
    """A conversion gone wrong: what the second output is added to is no number."""
    network = onnx.load_model_from_string(content)
    last = next(node for node in network.graph.node if network.graph.output[1].name in node.output)
    bias = next(item for item in network.graph.initializer if item.name == last.input[-1])
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32("nan"), bias.name))
    return bytes(network.SerializeToString())


def watch(frames: Iterable[Frame], _phase: str) -> Iterator[Frame]:
    """Nobody stops it."""
    yield from frames


def pictures() -> list[Frame]:
    return list(frames_of(face_pictures(), SIZE))


def test_good_forms_pass(model: Prepared) -> None:
    assert forms.half(model) != model.content
    for rest_in_half in (True, False):
        assert kinds_of(forms.int8(model, pictures(), watch, rest_in_half=rest_in_half))["QuantizeLinear"] > 0


def test_half_precision_with_one_output_that_is_no_number_is_refused(
    model: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "in_half_precision", second_without_numbers)
    with pytest.raises(ModelError, match="centerface in fp16 answers inf% from"):
        forms.half(model)


def test_int8_that_loses_faces_is_refused(model: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(calibrated: Calibrated, **_how: bool) -> bytes:
        return weakened(calibrated.model, 0.5)

    monkeypatch.setattr(forms, "for_tensorrt", halved)
    with pytest.raises(ModelError, match=r"centerface in int8 differs on \d+ of \d+ faces, 1% is allowed"):
        forms.int8(model, pictures(), watch, rest_in_half=True)


def test_int8_is_compared_on_pictures_with_faces_that_did_not_calibrate(
    model: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    black: Frame = np.zeros((1, SIZE[1], SIZE[0], 3), np.uint8)
    calibrating: list[int] = []

    def counted(content: bytes, frames: Iterable[Frame]) -> Calibrated:
        taken = list(frames)
        calibrating.append(len(taken))
        return calibrate(content, taken)

    monkeypatch.setattr(forms, "calibrate", counted)
    with pytest.raises(ModelError, match="no face is on the 2 pictures held out"):
        forms.int8(model, [black] * 8, watch, rest_in_half=False)
    assert calibrating == [6]
    with pytest.raises(ModelError, match="with 1 pictures"):
        forms.int8(model, [black], watch, rest_in_half=False)


@pytest.mark.parametrize(("precision", "words"), [("fp16", "in fp16 answers"), ("int8", "in int8 differs on")])
def test_no_engine_is_built_of_a_form_that_was_refused(
    trt: Any, model: Prepared, precision: Precision, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "in_half_precision", lambda content: in_half_precision(weakened(content, 0.7)))
    here = Here(trt=trt, gpu=Gpu("Orin", (8, 7)), cache_dir=tmp_path)
    wanted = replace(Wanted(prepared=model, precision=precision), pictures=of_files(face_pictures()))
    with pytest.raises(ModelError, match=words):
        engine_for(wanted, here, lambda _fraction, _phase: True)
    assert find(wanted, here) is None
    assert not list(tmp_path.rglob("*.engine"))

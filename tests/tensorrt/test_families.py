# SPDX-License-Identifier: Apache-2.0
"""Every family of models becomes an engine, for one picture and for several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from visavis.engines import forms
from visavis.engines.cache import Here, Wanted, engine_for
from visavis.engines.key import Gpu, Profile
from visavis.engines.rewrite import for_many_pictures, in_half_precision, output_names
from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.models.cache import Prepared, prepared_model

from tests.tensorrt.core import ROOT

MODELS = ROOT.parent / "shared" / "data" / "models"
FILES = ["yunet_n_dynamic", "yunet_s_dynamic", "version-RFB-320", "version-slim-320", "version-RFB-640"]
SIZE = (320, 256)


@pytest.fixture(params=["centerface", *FILES], scope="module")
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    path = MODELS / f"{request.param}.onnx"
    if request.param != "centerface" and not path.is_file():
        pytest.skip(f"{path} is not here")
    name = request.param if request.param == "centerface" else str(path)
    return prepared_model(name, *SIZE, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("profile", [Profile(), Profile(1, 4, 4)], ids=str)
def test_a_model_of_each_family_becomes_an_engine(
    trt: Any, tmp_path: Path, prepared: Prepared, profile: Profile
) -> None:
    here = Here(trt=trt, gpu=Gpu("Orin", (8, 7)), cache_dir=tmp_path)
    engine = engine_for(Wanted(prepared=prepared, profile=profile), here, lambda _fraction, _phase: True)
    assert len(engine.plan) > 100_000
    assert len(engine.record.outputs) == len(FAMILIES[prepared.family].shapes(*SIZE))


def test_several_pictures_give_what_each_gives_alone(prepared: Prepared) -> None:
    generator = np.random.default_rng(3)
    pictures = generator.integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)
    single, many = session(prepared.content), session(for_many_pictures(prepared.content))
    names = output_names(prepared.content)
    together = many.run(names, {"image": pictures})
    for index in range(len(pictures)):
        alone = single.run(names, {"image": pictures[index : index + 1]})
        for theirs, ours in zip(alone, together, strict=True):
            np.testing.assert_allclose(ours[index : index + 1], theirs, atol=1e-3, rtol=1e-3)


def test_half_precision_is_near(prepared: Prepared) -> None:
    assert output_names(forms.half(prepared)) == output_names(prepared.content)


def test_half_precision_that_halves_the_scores_is_refused(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """No face is on the picture that compares, so every score there is small."""
    monkeypatch.setattr(forms, "in_half_precision", lambda content: with_half_the_score(in_half_precision(content)))
    with pytest.raises(ModelError, match=r"in fp16 answers [0-9]+\.[0-9]% from what it answers in fp32, 3% is allowed"):
        forms.half(prepared)


def with_half_the_score(content: bytes) -> bytes:
    """Of a face; where the score of none stands beside it, that one stays."""
    model = onnx.load_model_from_string(content)
    first = model.graph.output[0]
    beside = first.type.tensor_type.shape.dim[-1].dim_value == 2
    times = np.array([1, 0.5] if beside else [0.5], np.float32)
    (node,) = (node for node in model.graph.node if first.name in node.output)
    node.output[list(node.output).index(first.name)] = "whole"
    model.graph.initializer.append(onnx.numpy_helper.from_array(times, "times"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["whole", "times"], [first.name]))
    return bytes(model.SerializeToString())


def session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

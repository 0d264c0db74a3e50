# SPDX-License-Identifier: Apache-2.0
"""The branches for TensorRT 8.6, run with its names over the real core; see older.py for what that cannot show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from visavis.engines.builder import Recipe, build
from visavis.engines.cache import Here, Wanted, engine_for, of_files
from visavis.engines.key import ONE_PICTURE, Gpu, Precision, Profile
from visavis.engines.progress import ALMOST
from visavis.engines.rewrite import for_many_pictures, in_half_precision
from visavis.errors import ModelError
from visavis.models.cache import prepared_model

from tests.tensorrt.models import centerface, face_pictures, tiny
from tests.tensorrt.older import Older
from tests.tensorrt.test_api import api_of


@pytest.fixture
def older(trt: Any) -> Older:
    return Older(trt, api_of("8.6"))


def recipe(precision: Precision = "fp32", profile: Profile = ONE_PICTURE) -> Recipe:
    return Recipe(name="tiny", precision=precision, profile=profile)


def go_on(_fraction: float, _phase: str) -> bool:
    return True


def test_what_came_later_is_not_there(older: Older, trt: Any) -> None:
    builder = older.Builder(trt.Logger(trt.Logger.ERROR))
    with pytest.raises(AttributeError, match=r"no IBuilderConfig\.progress_monitor"):
        builder.create_builder_config().progress_monitor = None
    with pytest.raises(AttributeError, match="IProgressMonitor"):
        _ = older.IProgressMonitor
    with pytest.raises(AttributeError, match="STRONGLY_TYPED"):
        _ = older.NetworkDefinitionCreationFlag.STRONGLY_TYPED


def test_it_builds_and_tells_in_its_log_how_far_it_is(older: Older) -> None:
    told: list[tuple[float, str]] = []

    def note(fraction: float, phase: str) -> bool:
        told.append((fraction, phase))
        return True

    built = build(older, tiny(), recipe(), note)
    assert len(built.plan) > 1_000
    assert built.timing_cache
    assert {phase for _, phase in told} == {"Timing layers"}
    assert all(0 < fraction <= ALMOST for fraction, _ in told)
    assert older.flags == set()


def test_it_takes_batches(older: Older) -> None:
    assert build(older, for_many_pictures(centerface().content), recipe(profile=Profile(1, 2, 4)), go_on).plan


def test_half_precision_is_allowed_by_a_flag(older: Older) -> None:
    half = in_half_precision(tiny())
    assert build(older, half, recipe("fp16"), go_on).plan
    assert older.flags == {"FP16"}
    with pytest.raises(
        ModelError, match=r"8\.6\.1 cannot build tiny in fp32, FP16 .* is not configured in the builder"
    ):
        build(older, half, recipe("fp32"), go_on)


def test_int8_is_allowed_by_flags_and_what_is_not_quantised_stays_in_float(
    older: Older, trt: Any, tmp_path: Path
) -> None:
    model = prepared_model("centerface", 320, 256, tmp_path)
    wanted = replace(Wanted(prepared=model, precision="int8"), pictures=of_files(face_pictures()))
    engine = engine_for(wanted, Here(trt=older, gpu=Gpu("Xavier", (7, 2)), cache_dir=tmp_path), go_on)
    assert engine.record.key.tensorrt == "8.6.1"
    assert older.flags == {"FP16", "INT8"}
    (network,) = older.networks
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    scales = {layer.get_input(1).dtype for layer in layers if layer.type == trt.LayerType.QUANTIZE}
    assert scales == {trt.DataType.FLOAT}
    made = {layer.get_output(0).name: layer for layer in layers}
    sources = [made.get(layer.get_input(0).name) for layer in layers if layer.type == trt.LayerType.DEQUANTIZE]
    kinds = {source.type if source else None for source in sources}
    assert kinds == {trt.LayerType.QUANTIZE}, "weights in int8, which parsers of TensorRT 8 refuse"


def test_an_unknown_operation_is_told_by_its_number(older: Older) -> None:
    with pytest.raises(ModelError, match=r"TensorRT 8\.6\.1 cannot read tiny, node 3: .*Plugin not found"):
        build(older, tiny(op="Levitate"), recipe(), go_on)


def test_it_cannot_be_told_to_stop(older: Older) -> None:
    assert build(older, tiny(), recipe(), lambda _fraction, _phase: False).plan

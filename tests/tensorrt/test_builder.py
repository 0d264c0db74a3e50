# SPDX-License-Identifier: Apache-2.0
"""From an ONNX file to an engine, by the real builder of TensorRT."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from visavis.engines.builder import LEAST_WORKSPACE_MIB, Built, Recipe, _config, _workspace_mib, build
from visavis.engines.key import ONE_PICTURE, Precision, Profile
from visavis.engines.rewrite import for_many_pictures, in_half_precision, output_names
from visavis.errors import ModelError

from tests.tensorrt.models import HEIGHT, WIDTH, centerface, tiny

MB = 1_000_000


def recipe(precision: Precision = "fp32", profile: Profile = ONE_PICTURE, **more: Any) -> Recipe:
    return Recipe(name="tiny", precision=precision, profile=profile, **more)


def go_on(_fraction: float, _phase: str) -> bool:
    return True


def test_a_small_network_becomes_an_engine(trt: Any) -> None:
    built = build(trt, tiny(), recipe(), go_on)
    assert built.layers >= 4
    assert len(built.plan) > 1_000
    assert built.timing_cache


@pytest.fixture(scope="module")
def plain(trt: Any) -> Built:
    return build(trt, centerface().content, recipe(), go_on)


def test_centerface_is_about_as_large_as_its_weights(plain: Built) -> None:
    weights = len(centerface().content)
    assert 100 <= plain.layers <= 140
    assert weights < len(plain.plan) < 8.5 * MB


def test_half_precision_halves_the_weights(trt: Any, plain: Built) -> None:
    half = build(trt, in_half_precision(centerface().content), recipe("fp16"), go_on)
    assert 3 * MB < len(half.plan) < 0.75 * len(plain.plan)


def test_a_profile_for_many_pictures_costs_little(trt: Any, plain: Built) -> None:
    profile = Profile(least=1, best=4, most=8)
    many = build(trt, for_many_pictures(centerface().content), recipe("fp32", profile), go_on)
    assert len(plain.plan) * 0.9 < len(many.plan) < len(plain.plan) * 1.1


def test_a_model_of_one_picture_refuses_a_profile_for_many(trt: Any) -> None:
    with pytest.raises(ModelError, match=r"refuses batches of 1/4/8 pictures|cannot build tiny"):
        build(trt, tiny(), recipe(profile=Profile(1, 4, 8)), go_on)


def test_tensorrt_gets_no_more_memory_than_it_may(trt: Any) -> None:
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR)).parse(tiny())
    config = _config(trt, builder, network, recipe(workspace_mib=7))
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 7 << 20


def test_unless_told_it_may_take_what_the_largest_batch_needs() -> None:
    """On a real GPU CenterFace asked for 542,981,980 bytes with 8 or 32 pictures of 640x480: 512 MiB are for few."""
    assert _workspace_mib((1, 480, 640, 3), Profile()) == LEAST_WORKSPACE_MIB
    for most in (8, 32):
        profile = Profile(least=1, best=most, most=most)
        assert _workspace_mib((-1, 480, 640, 3), profile) << 20 > 542_981_980 * most // 8


def test_the_input_is_the_frame_and_the_outputs_are_float(trt: Any) -> None:
    logger = trt.Logger(trt.Logger.ERROR)
    for model in (tiny(), in_half_precision(tiny())):
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        assert trt.OnnxParser(network, logger).parse(model)
        image, heat = network.get_input(0), network.get_output(0)
        assert (image.name, image.dtype, tuple(image.shape)) == ("image", trt.DataType.UINT8, (1, HEIGHT, WIDTH, 3))
        assert (heat.name, heat.dtype) == ("heat", trt.DataType.FLOAT)
        assert output_names(model) == ["heat"]


def test_half_precision_really_computes_in_half(trt: Any) -> None:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, logger).parse(in_half_precision(tiny()))
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
    assert [layer.get_output(0).dtype for layer in convolutions] == [trt.DataType.HALF]


def test_progress_rises_to_the_end_and_names_what_is_done(trt: Any) -> None:
    told: list[tuple[float, str]] = []

    def note(fraction: float, phase: str) -> bool:
        told.append((fraction, phase))
        return True

    build(trt, centerface().content, recipe(), note)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.8
    assert len({phase for _, phase in told}) > 3


def test_a_build_that_is_told_to_stop_says_so(trt: Any) -> None:
    with pytest.raises(ModelError, match="build of an engine for tiny was stopped"):
        build(trt, centerface().content, recipe(), lambda fraction, _phase: fraction < 0.1)


def test_a_broken_file_is_refused_with_tensorrts_words(trt: Any) -> None:
    with pytest.raises(ModelError, match=r"TensorRT 11\.4\.0\.106 cannot read tiny, .*[Pp]ars.*onnxruntime"):
        build(trt, tiny()[:-500], recipe(), go_on)


def test_an_operation_that_tensorrt_does_not_know_is_named(trt: Any) -> None:
    with pytest.raises(ModelError, match=r"cannot read tiny, node 3 \(Levitate\): .*Plugin not found"):
        build(trt, tiny(op="Levitate"), recipe(), go_on)


class Watched:
    """A configuration of TensorRT's that tells which timing cache it was given: without a GPU all caches are alike."""

    def __init__(self, config: Any) -> None:
        self._config, self.given = config, list[bytes]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def set_timing_cache(self, cache: Any, *, ignore_mismatch: bool) -> None:
        assert self._config.set_timing_cache(cache, ignore_mismatch=ignore_mismatch)

    def create_timing_cache(self, content: bytes) -> Any:
        self.given.append(content)
        return self._config.create_timing_cache(content)


def test_a_timing_cache_of_an_earlier_build_is_taken(trt: Any) -> None:
    first = build(trt, tiny(), recipe(), go_on)
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR)).parse(tiny())
    watched = Watched(builder.create_builder_config())
    ours = SimpleNamespace(
        create_builder_config=lambda: watched, create_optimization_profile=builder.create_optimization_profile
    )
    _config(trt, ours, network, recipe(timing_cache=first.timing_cache))
    assert watched.given == [first.timing_cache]

# SPDX-License-Identifier: Apache-2.0
"""INT8: one calibration, two exports, and an engine that is smaller than the one in float."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from visavis.engines.builder import Built, Recipe, build
from visavis.engines.int8 import Calibrated, calibrate, for_cpu, for_tensorrt, frames_of
from visavis.engines.key import ONE_PICTURE, Precision
from visavis.engines.rewrite import in_half_precision
from visavis.errors import ModelError
from visavis.families.centerface import decode
from visavis.models.processor import has_dot_products

from tests.arrays import Array
from tests.tensorrt.models import centerface, face_pictures, kinds_of, prepared_tiny

SIZE = (640, 480)
# Scores may move by this much. 0.02 is what other runtimes of the same weights may differ by.
SCORE = 0.03


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    return calibrate(centerface().content, frames_of(face_pictures(), SIZE))


def built(trt: Any, model: bytes, precision: Precision) -> Built:
    recipe = Recipe(name="centerface", precision=precision, profile=ONE_PICTURE)
    return build(trt, model, recipe, lambda _fraction, _phase: True)


def test_the_engine_is_smaller_than_the_one_in_float(trt: Any, calibrated: Calibrated) -> None:
    plain = built(trt, centerface().content, "fp32")
    for model in (for_tensorrt(calibrated), in_half_precision(for_tensorrt(calibrated))):
        assert len(built(trt, model, "int8").plan) < len(plain.plan)


def test_depthwise_convolutions_in_int8_are_what_made_it_large(trt: Any, calibrated: Calibrated) -> None:
    everything = for_cpu(calibrated)
    with pytest.raises(ModelError, match=r"DequantizeLinear.*Int32"):
        built(trt, everything, "int8")  # quantised biases, which this form has, are refused
    dense = built(trt, for_tensorrt(calibrated, least_weights=1), "int8")
    assert len(dense.plan) < 12_000_000, "a depthwise convolution was quantised: 32 MB and more"


def test_only_inputs_and_weights_are_quantised_for_tensorrt(calibrated: Calibrated) -> None:
    plain, chosen = kinds_of(centerface().content), kinds_of(for_tensorrt(calibrated))
    inputs, weights = chosen["QuantizeLinear"], chosen["DequantizeLinear"] - chosen["QuantizeLinear"]
    assert chosen["Conv"] == plain["Conv"]
    assert 0 < inputs <= weights < plain["Conv"]


def test_what_is_not_quantised_may_be_in_half_precision(trt: Any, calibrated: Calibrated) -> None:
    network = builder_of(trt, in_half_precision(for_tensorrt(calibrated)))
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    kinds = {layer.get_output(0).dtype for layer in layers if layer.type == trt.LayerType.CONVOLUTION}
    scales = {layer.get_input(1).dtype for layer in layers if layer.type == trt.LayerType.QUANTIZE}
    assert kinds == scales == {trt.DataType.HALF}


def builder_of(trt: Any, model: bytes) -> Any:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, logger).parse(model)
    return network


def on_this_processor(calibrated: Calibrated) -> bytes:
    if not has_dot_products():
        pytest.skip(
            "without dot products pairs of products saturate: `visavis model quantize` measures what that costs"
        )
    return for_cpu(calibrated)


EXPORTS: dict[str, Callable[[Calibrated], bytes]] = {
    "TensorRT": for_tensorrt,
    "TensorRT in half precision": lambda calibrated: in_half_precision(for_tensorrt(calibrated)),
    "this processor": on_this_processor,
}


@pytest.mark.parametrize("export", EXPORTS)
def test_every_export_finds_the_same_faces(calibrated: Calibrated, export: str) -> None:
    ours = EXPORTS[export](calibrated)
    for frame in frames_of(face_pictures(), SIZE):
        expected, found = faces(centerface().content, frame), faces(ours, frame)
        assert found.size == expected.size > 0
        np.testing.assert_allclose(found["score"], expected["score"], atol=SCORE)


def faces(model: bytes, frame: Array) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found = decode(session.run(None, {"image": frame}), SIZE, 0.5, 0.3)
    return found[np.argsort(found["x1"])]


def test_no_pictures_no_calibration() -> None:
    nothing: Iterable[Array] = []
    with pytest.raises(ModelError, match="without pictures"):
        calibrate(prepared_tiny().content, nothing)


def test_a_network_without_large_convolutions_is_left_alone() -> None:
    picture = np.zeros((1, 32, 64, 3), np.uint8)
    with pytest.raises(ModelError, match="nothing in this model is worth quantising"):
        for_tensorrt(calibrate(prepared_tiny().content, [picture]))


def test_an_export_leaves_the_calibration_as_it_was(calibrated: Calibrated) -> None:
    before = lowest_values(calibrated)
    for_cpu(calibrated)
    assert lowest_values(calibrated) == before


def lowest_values(calibrated: Calibrated) -> dict[str, float]:
    return {name: float(np.ravel(calibrated.ranges[name].range_value[0])[0]) for name in calibrated.ranges.keys()}  # noqa: SIM118

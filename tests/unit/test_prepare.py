# SPDX-License-Identifier: Apache-2.0
"""Preparation changes the speed of a model, not its answers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from visavis.families import FAMILIES
from visavis.models.graph import fold_batch_norms
from visavis.models.inspection import picture_input, shape_of
from visavis.models.manifest import entries, original
from visavis.models.prepare import prepare

from tests.arrays import Array
from tests.unit.face_pictures import gocv_pictures
from tests.unit.model_files import original_file, provided

LARGEST_DIFFERENCE = 1e-3


@pytest.mark.parametrize("model", entries())
def test_every_output_is_the_originals_to_a_thousandth(model: str, tmp_path: Path) -> None:
    family = FAMILIES[entries()[model].family]
    picture = cv2.resize(gocv_pictures()["face.jpg"], native_size(model), interpolation=cv2.INTER_AREA)
    coloured = picture[..., ::-1] if family.order == "rgb" else picture
    blob = (coloured[None].transpose(0, 3, 1, 2).astype(np.float32) - family.mean) / family.scale
    before = run(any_size(original_file(model).read_bytes()), np.ascontiguousarray(blob, np.float32))
    after = run(prepare(original(provided(model, tmp_path), cache_dir=tmp_path), 0, 0), picture[None])
    if family.published is not None:  # preparation cuts the published priors off
        after = family.published(after, native_size(model))
    assert len(before) == len(after)
    for theirs, ours in zip(before, after, strict=True):
        assert theirs.size > 0
        assert np.abs(ours.reshape(theirs.shape) - theirs).max() <= LARGEST_DIFFERENCE


def native_size(model: str) -> tuple[int, int]:
    """The published UltraFace takes one size; CenterFace declares ten pictures of 32x32 but takes any."""
    height, width = entries()[model].input[2:]
    return (width, height) if width > 32 else (640, 480)


def any_size(model: bytes) -> bytes:
    loaded = onnx.load_from_string(model)
    picture = picture_input(loaded)
    if shape_of(picture)[0] == 10:
        for value in (picture, *loaded.graph.output):
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dimension.dim_param = f"{value.name}_{axis}"
    changed: bytes = loaded.SerializeToString()
    return changed


def run(model: bytes, picture: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the original lists its weights as inputs: a warning for each
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    answers: list[Array] = session.run(None, {session.get_inputs()[0].name: picture})
    return answers


@pytest.mark.parametrize(
    ("kind", "kernel", "numbers"),
    [("Conv", (1, 3, 1, 1), 1000), ("ConvTranspose", (2, 1, 2, 2), 2)],
    ids=["more numbers than channels", "each channel by itself"],
)
def test_a_batch_normalisation_that_does_not_fit_its_convolution_stays(
    kind: str, kernel: tuple[int, ...], numbers: int
) -> None:
    weights = {"kernel": np.ones(kernel, np.float32), "four": np.ones(numbers, np.float32)}
    nodes = [
        onnx.helper.make_node(kind, ["x", "kernel"], ["y"]),
        onnx.helper.make_node("BatchNormalization", ["y", *["four"] * 4], ["z"]),
    ]
    assert [node.op_type for node in fold_batch_norms(nodes, weights)] == [kind, "BatchNormalization"]
    assert set(weights) == {"kernel", "four"}

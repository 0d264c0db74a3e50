# SPDX-License-Identifier: Apache-2.0
"""Preparation changes the speed of a model, not its answers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from visavis.models.cache import prepared_model
from visavis.models.manifest import original

from tests.unit.face_pictures import gocv_pictures

WIDTH, HEIGHT = 640, 480
LARGEST_DIFFERENCE = 1e-3


def test_every_output_is_the_originals_to_a_thousandth() -> None:
    picture = gocv_pictures()["face.jpg"]
    assert picture.shape == (HEIGHT, WIDTH, 3)
    blob = np.ascontiguousarray(picture[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)
    before = run(any_size(original("centerface").content), blob)
    after = run(prepared_model("centerface", WIDTH, HEIGHT).content, picture[None])
    assert len(before) == len(after)
    for theirs, ours in zip(before, after, strict=True):
        assert theirs.size > 0
        assert np.abs(ours.reshape(theirs.shape) - theirs).max() <= LARGEST_DIFFERENCE


def any_size(model: bytes) -> bytes:
    """The original declares ten pictures of 32x32 pixels; its weights take any number and size."""
    loaded = onnx.load_from_string(model)
    for value in (loaded.graph.input[0], *loaded.graph.output):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                dimension.dim_param = f"{value.name}_{axis}"
    changed: bytes = loaded.SerializeToString()
    return changed


def run(model: bytes, picture: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # the original lists its weights as inputs: a warning for each
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    answers: list[np.ndarray] = session.run(None, {session.get_inputs()[0].name: picture})
    return answers

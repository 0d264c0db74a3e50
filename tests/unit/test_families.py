# SPDX-License-Identifier: Apache-2.0
"""What every family of models must do: one suite over the table of families and over every model at hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from visavis.backends import Detector
from visavis.detections import Detections, Frame, boxes_of
from visavis.errors import DetectorError, ModelError
from visavis.families import FAMILIES, recognised
from visavis.families.family import Family
from visavis.models.inspection import inspected, outputs_of
from visavis.models.manifest import original
from visavis.models.prepare import prepare
from visavis.ring_gen import DETECTION_DTYPE, DetectionFlag

from tests.arrays import Array
from tests.unit.face_pictures import gocv_pictures
from tests.unit.model_files import MODELS, detector_for, provided

SMALL = (64, 32)


@pytest.fixture(params=MODELS, scope="module")
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def detector(model: str, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return detector_for(model, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def family(model: str) -> Family:
    return FAMILIES[model.split("-", maxsplit=1)[0]]


@pytest.fixture(scope="module")
def scene() -> Frame:
    """One face on grey, and one white square for the SCRFD of chance."""
    made: Frame = np.full((512, 640, 3), 90, np.uint8)
    face = cv2.resize(gocv_pictures()["face.jpg"][:, 80:560], (160, 160), interpolation=cv2.INTER_AREA)
    made[128:288, 128:288] = np.minimum(face, 200)
    made[96:128, 448:480] = 255
    made.setflags(write=False)
    return made


def is_sound(found: Detections, size: tuple[int, int]) -> None:
    """Every promise that does not depend on the picture."""
    assert found.dtype == DETECTION_DTYPE
    assert found.ndim == 1
    corners = boxes_of(found)
    assert np.isfinite(corners).all()
    assert np.isfinite(found["landmarks"]).all()
    assert (corners >= 0).all()
    assert (corners <= [*size, *size]).all()
    assert (corners[:, 2:] > corners[:, :2]).all()
    assert ((found["score"] >= 0) & (found["score"] <= 1)).all()
    assert (np.diff(found["score"]) <= 0).all()


def test_a_face_is_found_and_every_number_is_in_its_range(detector: Detector, family: Family, scene: Frame) -> None:
    found = detector.detect(scene)
    assert found.size == 1
    is_sound(found, (640, 512))
    assert bool(found["flags"][0] & DetectionFlag.LANDMARKS) == family.landmarks
    if family.landmarks and family.name != "scrfd":
        x1, y1, x2, y2 = boxes_of(found)[0]
        assert ((found["landmarks"] > [x1, y1]) & (found["landmarks"] < [x2, y2])).all()


@pytest.mark.parametrize("value", [0, 90])
def test_an_empty_picture_has_no_face(detector: Detector, value: int) -> None:
    assert detector.detect(np.full((512, 640, 3), value, np.uint8)).size == 0


def test_a_picture_that_moves_takes_its_boxes_along(detector: Detector, scene: Frame) -> None:
    moved = np.roll(scene, (64, 64), axis=(0, 1))
    before, after = detector.detect(scene), detector.detect(moved)
    assert before.size == after.size == 1
    assert np.abs(boxes_of(after) - boxes_of(before) - 64).max() < 2
    assert np.abs(after["score"] - before["score"]).max() < 0.02


def test_a_batch_of_two_is_two_of_one(
    model: str, family: Family, scene: Frame, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("batch")
    source = original(provided(model, folder), cache_dir=folder)
    pair = np.stack([scene, np.roll(scene, 64, axis=1)])
    single = session(prepare(source, 640, 512))
    alone = [family.decode(single.run(None, {"image": picture[None]}), (640, 512), 0.5, 0.3) for picture in pair]
    together = session(prepare(source, 640, 512, batch=2)).run(None, {"image": pair})
    for one, other in zip(alone, family.decode_batch(together, (640, 512), 0.5, 0.3), strict=True):
        assert one.size == other.size == 1
        np.testing.assert_allclose(boxes_of(one), boxes_of(other), atol=0.01)
        np.testing.assert_allclose(one["score"], other["score"], atol=1e-4)


def session(content: bytes) -> Any:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", [(320, 256), (96, 160)])
def test_a_prepared_model_takes_bytes_and_answers_what_its_family_says(
    model: str, family: Family, size: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shapes")
    width, height = size
    ready = session(prepare(original(provided(model, folder), cache_dir=folder), width, height))
    [picture] = ready.get_inputs()
    assert (picture.name, picture.type, picture.shape) == ("image", "tensor(uint8)", [1, height, width, 3])
    answers = ready.run(None, {"image": np.zeros((1, height, width, 3), np.uint8)})
    assert tuple(answer.shape for answer in answers) == family.shapes(width, height)
    assert {answer.dtype for answer in answers} == {np.dtype(np.float32)}
    assert [list(output.shape) for output in ready.get_outputs()] == [list(answer.shape) for answer in answers]


def test_a_size_that_is_no_multiple_is_refused(model: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("size")
    with pytest.raises(ModelError, match="multiples of 32"):
        prepare(original(provided(model, folder), cache_dir=folder), 100, 96)


def test_a_model_is_recognised_by_its_outputs(
    model: str, family: Family, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("recognised")
    content = original(provided(model, folder), cache_dir=folder).content
    assert recognised(outputs_of(inspected(content, model))) is family


def test_outputs_of_nobody_are_not_recognised() -> None:
    assert recognised({"logits": (1, 1000)}) is None
    assert recognised({}) is None


# From here on: decoders alone, on whatever a broken or hostile model may say.

every_family = pytest.mark.parametrize("kind", FAMILIES.values(), ids=FAMILIES.keys())


def outputs(family: Family, size: tuple[int, int] = SMALL, value: float = 0.0) -> list[Array]:
    return [np.full(shape, value, np.float32) for shape in family.shapes(*size)]


@st.composite
def rubbish(draw: st.DrawFn, family: Family) -> list[Array]:
    """Numbers of any kind, some of them high enough to be a face."""
    numbers = st.one_of(st.floats(width=32), st.sampled_from([0.9, 1.0, 3e38, -3e38, 88.8, float("nan"), float("inf")]))
    return [draw(hnp.arrays(np.float32, shape, elements=numbers)) for shape in family.shapes(*SMALL)]


@every_family
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_model_says_the_faces_are_sound(kind: Family, data: st.DataObject) -> None:
    is_sound(kind.decode(data.draw(rubbish(kind)), SMALL, 0.5, 0.3), SMALL)


@every_family
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1.0])
def test_one_number_everywhere_is_no_error(kind: Family, value: float) -> None:
    is_sound(kind.decode(outputs(kind, value=value), SMALL, 0.5, 0.3), SMALL)


@every_family
def test_nothing_is_found_where_nothing_is_hot(kind: Family) -> None:
    assert kind.decode(outputs(kind), SMALL, 0.5, 0.3).size == 0


def wrong_outputs(family: Family) -> dict[str, list[Any]]:
    good = outputs(family)
    return {
        "none": [],
        "one missing": good[:-1],
        "one too many": [*good, good[0]],
        "no batch axis": [item[0] for item in good],
        "an axis too many": [item[None] for item in good],
        "two pictures": [np.concatenate([item, item]) for item in good],
        "another size": outputs(family, (96, 96)),
        "empty": [item[:, :0] for item in good],
        "double precision": [item.astype(np.float64) for item in good],
        "whole numbers": [item.astype(np.int32) for item in good],
        "objects": [item.astype(object) for item in good],
        "no arrays": [item.tolist() for item in good],
        "nothing at all": [None for _ in good],
    }


@every_family
@pytest.mark.parametrize("wrong", wrong_outputs(FAMILIES["yunet"]))
def test_other_outputs_are_an_error_with_a_sentence(kind: Family, wrong: str) -> None:
    with pytest.raises(DetectorError, match="outputs of shapes"):
        kind.decode(wrong_outputs(kind)[wrong], SMALL, 0.5, 0.3)


@every_family
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_outputs_of_any_shape_are_decoded_or_refused_with_the_one_error(kind: Family, data: st.DataObject) -> None:
    shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    kinds = st.sampled_from([np.float32, np.float16, np.uint8, np.bool_, np.complex64])
    arrays = kinds.flatmap(lambda dtype: hnp.arrays(dtype, shapes))
    with pytest.raises(DetectorError):
        kind.decode(data.draw(st.lists(arrays, max_size=len(kind.shapes(*SMALL)))), SMALL, 0.5, 0.3)


@every_family
def test_a_batch_whose_outputs_disagree_is_refused(kind: Family) -> None:
    first, *others = outputs(kind)
    with pytest.raises(DetectorError, match="pictures"):
        kind.decode_batch([np.concatenate([first, first]), *others], SMALL, 0.5, 0.3)

# SPDX-License-Identifier: Apache-2.0
"""YuNet's faces are those that OpenCV's FaceDetectorYN finds with the same file in the same picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from visavis.backends import Detector
from visavis.bench.centerface import same_faces
from visavis.detections import Frame, boxes_of
from visavis.families.yunet import NAMES, decode
from visavis.models.manifest import original
from visavis.models.prepare import prepare
from visavis.pictures import letterboxed

from tests.arrays import Array
from tests.unit.face_pictures import all_pictures
from tests.unit.model_files import detector_for, original_file

SIZE = (64, 32)


@pytest.fixture(params=["yunet-n", "yunet-s"], scope="module")
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def detector(model: str, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return detector_for(model, tmp_path_factory.mktemp("cache"))


def opencv(model: str, picture: Frame) -> tuple[Array, Array]:
    """(n, 5) corners within the picture and scores, (n, 5, 2) landmarks, best first."""
    height, width = picture.shape[:2]
    peer = cv2.FaceDetectorYN.create(str(original_file(model)), "", (width, height), 0.5, 0.3, 5000)
    rows = peer.detect(picture)[1]
    rows = np.zeros((0, 15), np.float32) if rows is None else rows[np.argsort(-rows[:, 14], kind="stable")]
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return np.column_stack([corners.clip(0, [width, height] * 2), rows[:, 14]]), rows[:, 4:14].reshape(-1, 5, 2)


def test_the_faces_are_those_of_opencv_on_every_picture(model: str, detector: Detector) -> None:
    total = 0
    for name, picture in all_pictures().items():
        for size in (None, (320, 256), (640, 480)):
            boxed, _ = letterboxed(picture, size)
            ours, (boxes, landmarks) = detector.detect(boxed), opencv(model, boxed)
            same, least, most = same_faces(ours, boxes)
            assert same, f"{name}: {ours.size} faces, OpenCV {len(boxes)}; least IoU {least}, scores differ by {most}"
            if ours.size:
                assert np.abs(landmarks - ours["landmarks"]).max() < 0.5, name
            total += ours.size
    assert total >= 40


def outputs() -> list[Array]:
    return [np.zeros((1, 32 * 64 // int(name.split("_")[1]) ** 2, sides), np.float32) for name, sides in NAMES.items()]


def test_one_hot_place_is_one_face_in_pixels_of_the_input() -> None:
    parts = dict(zip(NAMES, outputs(), strict=True))
    place = 1 * 4 + 2  # row 1, column 2 of the map of stride 16
    parts["cls_16"][0, place], parts["obj_16"][0, place] = 0.81, 1.0
    parts["bbox_16"][0, place] = [0.25, -0.5, np.log(1.5), np.log(0.5)]
    parts["kps_16"][0, place, :2] = [0.5, -0.25]
    found = decode(list(parts.values()), SIZE, 0.5, 0.3)
    assert boxes_of(found).tolist() == [[24, 4, 48, 12]]
    assert found["score"].tolist() == pytest.approx([0.9])
    assert found["landmarks"][0, 0].tolist() == [40, 12]


def test_a_score_is_high_only_when_both_its_parts_are() -> None:
    parts = dict(zip(NAMES, outputs(), strict=True))
    parts["cls_8"][:] = 1.0
    assert decode(list(parts.values()), SIZE, 0.5, 0.3).size == 0


def output_names(model: onnx.ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def test_the_outputs_are_in_the_order_of_the_published_files(model: str) -> None:
    assert output_names(onnx.load(original_file(model))) == list(NAMES)


def test_a_file_with_its_outputs_in_another_order_is_prepared_in_this_one(tmp_path: Path) -> None:
    turned = onnx.load(original_file("yunet-n"))
    outputs = list(turned.graph.output)[::-1]
    del turned.graph.output[:]
    turned.graph.output.extend(outputs)
    onnx.save(turned, tmp_path / "turned.onnx")
    prepared = prepare(original(str(tmp_path / "turned.onnx")), 64, 32)
    assert output_names(onnx.load_model_from_string(prepared)) == list(NAMES)

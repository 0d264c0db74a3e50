# SPDX-License-Identifier: Apache-2.0
"""SCRFD's faces are those that InsightFace's own class finds with the same file in the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from visavis.backends import Detector, load_detector
from visavis.bench.centerface import same_faces
from visavis.cli.detect import Eye
from visavis.detections import Detections, Frame, boxes_of
from visavis.families.faces import Faces
from visavis.models.accuracy import overlaps
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings

from tests.arrays import Array
from tests.unit.face_pictures import all_pictures, gocv_pictures
from tests.unit.insightface import best_first, insightface_scrfd
from tests.unit.model_files import scrfd_like
from tests.unit.scrfd_with_faces import HEIGHTS, scrfd_with_faces
from tests.unit.test_scrfd import HEIGHT, WIDTH, picture

SCORE, IOU = 0.5, 0.4
LANDSCAPE, PORTRAIT = (640, 480), (320, 640)


class Pair(NamedTuple):
    """Both, with the same file."""

    ours: Detector
    theirs: Any
    size: tuple[int, int]


def pair(content: bytes, folder: Path, size: tuple[int, int], score: float = SCORE) -> Pair:
    path = folder / "mine.onnx"
    path.write_bytes(content)
    settings = DetectorSettings(
        model=str(path),
        backend="onnxruntime",
        input_width=size[0],
        input_height=size[1],
        score=score,
        iou=IOU,
        cache_dir=folder,
    )
    theirs = insightface_scrfd()(str(path))
    theirs.prepare(-1, nms_thresh=IOU, det_thresh=score)
    return Pair(load_detector(settings), theirs, size)


def crowd(width: int, height: int) -> Frame:
    """Two faces over and over, side by side in squares of 24 to 240 pixels."""
    made: Frame = np.full((height, width, 3), 90, np.uint8)
    faces = [face[:, 80:-80] for face in gocv_pictures().values()]
    top = 0
    for row, side in enumerate((24, 36, 60, 96, 160, 240)):
        for column in range(width // side if top + side <= height else 0):
            one = cv2.resize(faces[(row + column) % 2], (side, side), interpolation=cv2.INTER_AREA)
            made[top : top + side, column * side : (column + 1) * side] = one
        top += side
    return made


@pytest.fixture(scope="module")
def pictures() -> dict[str, Frame]:
    return all_pictures() | {"landscape": crowd(640, 480), "portrait": crowd(480, 640)}


def are_the_same(ours: Detections, theirs: tuple[Array, Array | None], frame: Frame) -> None:
    """Of each face the box to 0.01 pixels, the score to 0.0001, and each landmark to 0.01 pixels."""
    corners, scores, marks = best_first(*theirs)
    edges = [*frame.shape[1::-1]] * 2  # InsightFace leaves boxes as they are, beyond the picture too
    assert ours.size == len(scores)
    np.testing.assert_allclose(boxes_of(ours).clip(0, edges), corners.clip(0, edges), atol=0.01)
    np.testing.assert_allclose(ours["score"], scores, atol=1e-4)
    assert ours["flags"].tolist() == [int(marks is not None)] * ours.size
    if marks is not None:
        np.testing.assert_allclose(ours["landmarks"], marks, atol=0.01)


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT], ids=["landscape", "portrait"])
@pytest.mark.parametrize("fixed", [False, True], ids=["any size", "one size"])
@pytest.mark.parametrize(
    ("landmarks", "batched"), [(True, False), (False, True)], ids=["landmarks", "boxes only, batched"]
)
def test_the_faces_are_those_of_insightface_in_every_picture(
    landmarks: bool, batched: bool, fixed: bool, size: tuple[int, int], pictures: dict[str, Frame], tmp_path: Path
) -> None:
    content = scrfd_with_faces(landmarks=landmarks, batched=batched, size=size if fixed else None)
    both, heights = pair(content, tmp_path, size), []
    for frame in pictures.values():
        boxed, _ = letterboxed(frame, size)
        ours = both.ours.detect(boxed)
        are_the_same(ours, both.theirs.detect(boxed, input_size=size), boxed)
        corners = boxes_of(ours)
        heights += (corners[:, 3] - corners[:, 1]).tolist()
    assert all(np.histogram(heights, sorted({*sum(HEIGHTS.values(), ())}))[0] > 0), "no faces of one of the maps"


def test_in_pictures_that_are_enlarged_they_are_the_same(pictures: dict[str, Frame], tmp_path: Path) -> None:
    size = (1280, 960)
    both = pair(scrfd_with_faces(), tmp_path, size)
    for name, frame in pictures.items():
        are_the_same(Eye(both.ours, size).faces(name, frame), both.theirs.detect(frame, input_size=size), frame)


def test_in_pictures_that_shrink_they_are_nearly_the_same(tmp_path: Path) -> None:
    """We shrink by areas, as the daemon does, InsightFace by single pixels."""
    size, total = (320, 256), 0
    both = pair(scrfd_with_faces(), tmp_path, size)
    for name, frame in all_pictures().items():
        ours, (theirs, _) = Eye(both.ours, size).faces(name, frame), both.theirs.detect(frame, input_size=size)
        shares = np.array([overlaps(box, boxes_of(ours)) for box in theirs[:, :4]])
        assert shares.shape == (ours.size, ours.size), name
        assert (shares.max(axis=1) > 0.7).all(), name
        assert np.abs(ours["score"][shares.argmax(axis=1)] - theirs[:, 4]).max() < 0.03, name
        total += ours.size
    assert total >= 2


def test_a_picture_of_another_shape_is_rounded_to_another_pixel(tmp_path: Path) -> None:
    """Its 477 rows become 917 of ours and 916 of InsightFace's."""
    size, frame = (640, 960), gocv_pictures()["face.jpg"][:477, 160:493]
    both = pair(scrfd_with_faces(), tmp_path, size)
    ours, (theirs, _) = Eye(both.ours, size).faces("odd", frame), both.theirs.detect(frame, input_size=size)
    same, least, most = same_faces(ours, theirs)
    assert same, f"least IoU {least}, scores differ by {most}"
    assert ours.size == 1


@pytest.mark.parametrize("landmarks", [True, False], ids=["landmarks", "boxes only"])
def test_of_many_boxes_that_overlap_the_same_stay(landmarks: bool, tmp_path: Path) -> None:
    both = pair(scrfd_like(landmarks=landmarks), tmp_path, (WIDTH, HEIGHT), score=0.2)
    kept = candidates = 0
    for seed in range(20):
        frame = picture(seed)
        ours = both.ours.detect(frame)
        are_the_same(ours, both.theirs.detect(frame, input_size=both.size), frame)
        kept, candidates = kept + ours.size, candidates + len(both.theirs._detect_candidates(frame, both.size, 0.2)[0])
    assert kept > 100
    assert candidates > kept + 50


@pytest.mark.parametrize(("side", "theirs_keep"), [(8, [0]), (80, [0, 1])])
def test_insightface_takes_small_boxes_for_a_pixel_wider(side: int, theirs_keep: list[int], tmp_path: Path) -> None:
    """Theirs is one more in both directions, so that overlaps of small boxes count for more: 0.44, here of 0.39."""
    boxes = np.array([[0, 0, side, side, 0.9], [side * 7 / 16, 0, side * 23 / 16, side, 0.8]], np.float32)
    assert pair(scrfd_like(), tmp_path, (WIDTH, HEIGHT)).theirs.nms(boxes) == theirs_keep
    faces = Faces((160, 128), IOU)
    faces.add(0.9, tuple(boxes[0, :4].tolist()), None)
    assert faces.takes(*boxes[1, :4].tolist())

# SPDX-License-Identifier: Apache-2.0
"""UltraFace: our decoder against the one that its authors put into the published files, and against priors by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from visavis.bench.centerface import same_faces
from visavis.detections import Frame, boxes_of
from visavis.families.ultraface import decode, priors
from visavis.pictures import letterboxed

from tests.arrays import Array
from tests.unit.face_pictures import all_pictures
from tests.unit.greedy import best_apart
from tests.unit.model_files import detector_for, original_file

SIZES = {"ultraface-rfb-320": (320, 240), "ultraface-slim-320": (320, 240), "ultraface-rfb-640": (640, 480)}


def priors_by_hand(width: int, height: int) -> list[list[float]]:
    """One by one, as the authors' loop goes."""
    made = []
    for stride, sides in ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256))):
        columns, rows = -(-width // stride), -(-height // stride)
        for row in range(rows):
            for column in range(columns):
                for side in sides:
                    x, y = (column + 0.5) / columns * width, (row + 0.5) / rows * height
                    made.append([x, y, min(side, width), min(side, height)])
    return made


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (320, 256), (96, 160), (1920, 1088)])
def test_priors_are_those_of_the_authors_loop(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(priors(*size), priors_by_hand(*size), rtol=1e-6)


def test_the_published_sizes_have_the_published_numbers_of_priors() -> None:
    assert [len(priors(*size)) for size in ((320, 240), (640, 480))] == [4420, 17640]


def test_priors_cannot_be_changed_by_who_uses_them() -> None:
    with pytest.raises(ValueError, match="read-only"):
        priors(320, 256)[0, 0] = 1


def test_one_hot_prior_is_one_face_without_landmarks() -> None:
    scores, moves = np.zeros((1, len(priors(64, 64)), 2), np.float32), np.zeros((1, len(priors(64, 64)), 4), np.float32)
    at = 3 * (2 * 8 + 3) + 1  # row 2, column 3 of the map of stride 8, the prior of 16 pixels
    scores[0, at] = [0.1, 0.9]
    moves[0, at] = [2.5, -2.5, np.log(2) * 5, 0]
    found = decode([scores, moves], (64, 64), 0.5, 0.3)
    assert boxes_of(found)[0].tolist() == pytest.approx([28 + 4 - 16, 20 - 4 - 8, 28 + 4 + 16, 20 - 4 + 8])
    assert found.size == 1
    assert found["flags"].tolist() == [0]


def published(model: str, picture: Frame) -> Array:
    """(n, 5) corners and scores as the published file itself decodes them, best first; its own size and priors."""
    height, width = picture.shape[:2]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(original_file(model), options, providers=["CPUExecutionProvider"])
    blob = (picture[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) - 127) / 128
    scores, boxes = session.run(None, {"input": np.ascontiguousarray(blob)})
    good = scores[0, :, 1] > 0.5
    corners, best = boxes[0, good] * [width, height, width, height], scores[0, good, 1]
    kept = best_apart(corners, best, 0.3)
    return np.column_stack([corners[kept].clip(0, [width, height] * 2), best[kept]])


@pytest.mark.parametrize("model", SIZES)
def test_the_faces_are_those_of_the_published_graph(model: str, tmp_path: Path) -> None:
    detector, total = detector_for(model, tmp_path), 0
    for name, picture in all_pictures().items():
        small = cv2.resize(letterboxed(picture, (640, 480))[0], SIZES[model], interpolation=cv2.INTER_AREA)
        boxed = np.asarray(small, np.uint8)
        ours, theirs = detector.detect(boxed), published(model, boxed)
        same, least, most = same_faces(ours, theirs)
        assert same, f"{name}: {ours.size} faces, published {len(theirs)}; least IoU {least}, scores differ by {most}"
        total += ours.size
    assert total >= 10

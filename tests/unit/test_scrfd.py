# SPDX-License-Identifier: Apache-2.0
"""SCRFD, on graphs with its inputs and outputs: the published weights are for research only, so none are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from visavis.backends import load_detector
from visavis.detections import Detections, Frame, boxes_of
from visavis.settings import DetectorSettings

from tests.arrays import Array
from tests.unit.greedy import best_apart
from tests.unit.model_files import scrfd_like

SCORE = 0.2
WIDTH, HEIGHT = 160, 128


def picture(seed: int) -> Frame:
    """White patches of chance on grey."""
    chance = np.random.default_rng(seed)
    made: Frame = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    for _ in range(6):
        y, x = chance.integers(0, HEIGHT - 40), chance.integers(0, WIDTH - 40)
        made[y : y + 40, x : x + 40] = chance.integers(225, 256, (40, 40, 3))  # no two scores alike
    return made


def ours(content: bytes, frame: Frame, folder: Path) -> Detections:
    path = folder / "mine.onnx"
    path.write_bytes(content)
    settings = DetectorSettings(
        model=str(path),
        backend="onnxruntime",
        input_width=WIDTH,
        input_height=HEIGHT,
        score=SCORE,
        iou=0.4,
        cache_dir=folder,
    )
    return load_detector(settings).detect(frame)


def by_hand(content: bytes, frame: Frame) -> tuple[Array, Array, Array]:
    """Corners, scores and landmarks from the graph as it is, candidate by candidate."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    blob = (frame[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) - 127.5) / 128
    answers = [answer.reshape(-1, answer.shape[-1]) for answer in session.run(None, {"input.1": blob})]
    boxes, scores, marks = [], [], []
    for level, stride in enumerate((8, 16, 32)):
        for index, score in enumerate(answers[level][:, 0]):
            row, column = divmod(index // 2, WIDTH // stride)
            if score > SCORE:
                left, top, right, bottom = answers[3 + level][index] * stride
                x, y = column * stride, row * stride
                boxes.append([x - left, y - top, x + right, y + bottom])
                scores.append(score)
                if len(answers) == 9:
                    marks.append(answers[6 + level][index].reshape(5, 2) * stride + [x, y])
    return np.array(boxes, np.float32), np.array(scores, np.float32), np.array(marks, np.float32)


def test_an_input_may_have_the_name_that_ours_has(tmp_path: Path) -> None:
    content = scrfd_like(picture="image")
    assert ours(content, picture(1), tmp_path).size == ours(scrfd_like(), picture(1), tmp_path).size > 3


def test_a_normalisation_of_what_others_use_too_stays(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(scrfd_like())
    halves = numpy_helper.from_array(np.full(8, 0.5, np.float32), "halves")
    model.graph.initializer.append(halves)
    [laid] = [index for index, node in enumerate(model.graph.node) if node.output[0] == "bbox_32.laid"]
    model.graph.node[laid].input[0] = "bbox_32.sum"
    for node in (
        helper.make_node("Add", ["bbox_32.map", "bbox_32.normal"], ["bbox_32.sum"]),
        helper.make_node("BatchNormalization", ["bbox_32.map", *["halves"] * 4], ["bbox_32.normal"]),
    ):
        model.graph.node.insert(laid, node)
    content = model.SerializeToString()
    found, (boxes, scores, _) = ours(content, picture(1), tmp_path), by_hand(content, picture(1))
    kept = best_apart(boxes, scores, 0.4)
    corners = boxes_of(found)
    np.testing.assert_allclose(corners, boxes[kept].clip(0, [WIDTH, HEIGHT] * 2), atol=0.01)


@pytest.mark.parametrize("batched", [False, True], ids=["flat", "batched"])
@pytest.mark.parametrize("landmarks", [True, False], ids=["landmarks", "boxes only"])
def test_the_faces_are_those_of_a_decoding_by_hand(landmarks: bool, batched: bool, tmp_path: Path) -> None:
    content = scrfd_like(landmarks=landmarks, batched=batched)
    for seed in range(5):
        found = ours(content, picture(seed), tmp_path)
        boxes, scores, marks = by_hand(content, picture(seed))
        kept = best_apart(boxes, scores, 0.4)
        assert found.size == len(kept) > 3
        corners = boxes_of(found)
        np.testing.assert_allclose(corners, boxes[kept].clip(0, [WIDTH, HEIGHT] * 2), atol=0.01)
        np.testing.assert_allclose(found["score"], scores[kept], atol=1e-4)
        assert found["flags"].tolist() == [int(landmarks)] * found.size
        if landmarks:
            np.testing.assert_allclose(found["landmarks"], marks[kept], atol=0.01)

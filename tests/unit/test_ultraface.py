# SPDX-License-Identifier: Apache-2.0
"""UltraFace: our decoder against the one that its authors put into the published files, and against priors by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from visavis.bench.centerface import same_faces
from visavis.detections import Frame, boxes_of
from visavis.errors import ModelError
from visavis.families.ultraface import decode, priors
from visavis.models.graph import without_dead
from visavis.models.manifest import Entry, Original, entries
from visavis.models.prepare import prepare
from visavis.pictures import letterboxed

from tests.arrays import Array
from tests.unit.face_pictures import all_pictures
from tests.unit.greedy import best_apart
from tests.unit.model_files import detector_for, original_file

SIZES = {"ultraface-rfb-320": (320, 240), "ultraface-slim-320": (320, 240), "ultraface-rfb-640": (640, 480)}
# In the file of ultraface-slim-320, what its priors are moved by.
MOVES = "375"


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


def with_priors_moved(model: str, right_px: float) -> Original:
    """A published model whose priors are elsewhere than those of our decoder."""
    file = original_file(model)
    graph = onnx.load(file)
    count = len(priors(*SIZES[model]))
    for node in graph.graph.node:
        for one in node.attribute:
            if node.op_type == "Constant" and list(one.t.dims) == [1, count, 2] and is_added(node, graph):
                moved = numpy_helper.to_array(one.t) + np.array([right_px / SIZES[model][0], 0], np.float32)
                one.t.CopyFrom(numpy_helper.from_array(moved))
    return original_of(graph.SerializeToString(), entries()[model])


def is_added(node: onnx.NodeProto, graph: onnx.ModelProto) -> bool:
    return any(user.op_type == "Add" and node.output[0] in user.input for user in graph.graph.node)


def original_of(content: bytes, entry: Entry) -> Original:
    return Original(name="m", entry=entry, content=content, sha256="")


def test_a_file_whose_boxes_are_not_where_our_decoder_has_them_is_refused() -> None:
    model = "ultraface-slim-320"
    assert prepare(with_priors_moved(model, 0), 320, 256)
    with pytest.raises(ModelError, match=r"times as far .*: export it .* and with the published priors, or none"):
        prepare(with_priors_moved(model, 2), 320, 256)


def test_a_file_without_priors_is_taken_as_it_is() -> None:
    model = onnx.load(original_file("ultraface-slim-320"))
    nodes = [node for node in model.graph.node if "boxes" not in node.output]
    next(node for node in nodes if MOVES in node.output).output[0] = "boxes"
    del model.graph.node[:]
    model.graph.node.extend(without_dead(nodes, {"scores", "boxes"}))
    assert prepare(original_of(model.SerializeToString(), entries()["ultraface-slim-320"]), 320, 256)


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

# SPDX-License-Identifier: Apache-2.0
"""`visavis model bench`: what is measured, and which model it recommends."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from visavis.bench.models import Row, recommended
from visavis.errors import ModelError, PictureError
from visavis.models.labels import read_labels

from tests.unit.face_pictures import LABELLED, gocv_paths
from tests.unit.test_model_cli import model


def row(name: str, fps: float, recall: float | None = None, **more: Any) -> Row:
    about: dict[str, Any] = {"precision": "fp32", "size": (640, 480), "threads": 1}
    return Row(model=name, ms=1000 / fps, memory_mib=100, recall=recall, **(about | more))


def test_of_those_fast_enough_the_one_that_finds_most_is_recommended() -> None:
    rows = [row("slow", 5, 1.0), row("fair", 20, 0.9), row("fast", 90, 0.7)]
    assert recommended(rows, 15) is rows[1]
    assert recommended(rows, 50) is rows[2]
    assert recommended(rows, 500) is None


def test_of_equals_the_one_on_fewer_threads_and_then_the_faster_is_recommended() -> None:
    rows = [row("a", 40, 0.9, threads=2), row("b", 20, 0.9), row("c", 30, 0.9)]
    assert recommended(rows, 15) is rows[2]


def test_without_labels_the_order_of_the_list_decides_and_then_the_larger_input() -> None:
    rows = [row("first", 60, size=(320, 256)), row("second", 90, size=(320, 256)), row("first", 20), row("second", 50)]
    assert recommended(rows, 15) is rows[2]
    assert recommended(rows, 30) is rows[0]
    assert recommended(rows, 70) is rows[1]


def test_int8_is_recommended_where_only_it_is_fast_enough_or_it_finds_as_much_and_is_faster() -> None:
    rows = [row("one", 12), row("one", 25, precision="int8")]
    assert recommended(rows, 10) is rows[0]
    assert recommended(rows, 15) is rows[1]
    seen = [row("one", 12, 0.9), row("one", 25, 0.9, precision="int8"), row("one", 30, 0.8, precision="int8")]
    assert recommended(seen, 10) is seen[1]


def labels_beside(folder: Path, body: str) -> Path:
    (folder / "face.jpg").write_bytes(gocv_paths()[0].read_bytes())
    path = folder / "labels.xml"
    path.write_text(f"<dataset><images>{body}</images></dataset>")
    return path


# Each one's top, and what imglab says about it.
BOXES = [(1, ""), (2, "ignore='1'"), (3, "ignore='0'")]
FACE = "<image file='face.jpg'><box top='88' left='252' width='181' height='275'/></image>"

CROSSED_OUT = FACE.replace("<box", "<box ignore='1'")


def test_every_row_says_what_was_measured_and_the_last_line_what_to_take(tmp_path: Path) -> None:
    labels = labels_beside(tmp_path, FACE)
    words = [
        "centerface",
        "--input",
        "128x96",
        "96x64",
        "--threads",
        "1",
        "2",
        "--rounds",
        "2",
        "--fps",
        "0.01",
        "--json",
    ]
    answer = model(tmp_path, "bench", *words, "--labels", str(labels))
    assert answer.returncode == 0, answer.stderr
    *rows, last = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(line["input"], line["threads"]) for line in rows] == [
        ([128, 96], 1),
        ([128, 96], 2),
        ([96, 64], 1),
        ([96, 64], 2),
    ]
    for line in rows:
        assert line["precision"] == "fp32"
        assert line["ms"] > 0
        assert line["memory_mib"] > 20
        assert line["recall"] == 1.0
    assert last["recommended"] in rows


def test_a_table_for_people_ends_with_what_to_write_into_the_configuration(tmp_path: Path) -> None:
    answer = model(tmp_path, "bench", "--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0].split() == ["model", "precision", "input", "threads", "ms", "fps", "MiB", "recall"]
    assert lines[1].split()[:4] == ["centerface", "fp32", "96x64", "1"]
    assert lines[-4:] == ["[detector]", 'model = "centerface"', "input = [96, 64]", "threads = 1"]


def test_a_goal_that_no_model_reaches_is_said(tmp_path: Path) -> None:
    answer = model(tmp_path, "bench", "--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "1e9")
    assert answer.returncode == 0
    assert "no model reaches 1e+09 frames a second here" in answer.stderr


@pytest.mark.parametrize(
    "body", ["", "<image file='face.jpg'/>", "<image/>", CROSSED_OUT, "<image", "<image file='gone.jpg'/>"]
)
def test_labels_that_mark_nothing_are_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels .*labels\.xml"):
        read_labels(labels_beside(tmp_path, body))


def test_the_labelled_pictures_are_read() -> None:
    if not LABELLED.is_dir():
        pytest.skip("../shared/data/faces with the labelled pictures is not here")
    found = read_labels(LABELLED / "training.xml")
    assert [len(one.boxes) for one in found] == [7, 6, 2, 3]
    assert found[0].boxes[0].tolist() == [194, 90, 231, 127]


def test_a_box_that_was_crossed_out_is_no_label(tmp_path: Path) -> None:
    boxes = "".join(f"<box top='{top}' left='9' width='20' height='30' {more}/>" for top, more in BOXES)
    (found,) = read_labels(labels_beside(tmp_path, f"<image file='face.jpg'>{boxes}</image>"))
    assert found.boxes.tolist() == [[9, 1, 29, 31], [9, 3, 29, 33]]


def test_a_labelled_picture_that_is_gone_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    labels = labels_beside(tmp_path, FACE + FACE.replace("face.jpg", "gone.jpg"))
    with pytest.raises(PictureError, match=r"cannot read .*gone\.jpg"):
        read_labels(labels)


def test_a_labelled_picture_that_is_to_be_turned_is_refused(tmp_path: Path) -> None:
    """As a phone writes it: a tool for labels may count in what the file holds, or in what a browser shows."""
    labels = labels_beside(tmp_path, FACE)
    picture = tmp_path / "face.jpg"
    plain = picture.read_bytes()
    for orientation, turned in ((1, False), (3, True), (6, True)):
        entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0])
        note = b"Exif\0\0MM\x00*\x00\x00\x00\x08\x00\x01" + entry + bytes(4)
        picture.write_bytes(plain[:2] + b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note + plain[2:])
        with pytest.raises(PictureError, match="mogrify -auto-orient") if turned else nullcontext():
            read_labels(labels)


# 36 MiB each, of which the limit holds a few.
MANY, LARGE = 16, (3000, 4000, 3)
UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from visavis.bench.models import detector, recall
from visavis.models.labels import read_labels
size = (96, 64)
finder = detector("centerface", size)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit_bytes = pages * resource.getpagesize() + 200 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
print(recall(finder, read_labels(Path(sys.argv[1])), size))
"""


def test_many_large_labelled_pictures_take_the_memory_of_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.jpg"), np.zeros(LARGE, np.uint8))
    labels = labels_beside(tmp_path, FACE.replace("face.jpg", "large.jpg") * MANY)
    command = [sys.executable, "-c", UNDER_A_LIMIT, str(labels)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-500:]
    assert answer.stdout == "0.0\n"

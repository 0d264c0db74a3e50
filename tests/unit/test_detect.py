# SPDX-License-Identifier: Apache-2.0
"""`visavis detect` as a person or a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from visavis.pictures import decode_still

from tests.unit.face_pictures import gocv_paths


def detect(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "visavis.cli", "detect", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_picture_is_one_line_and_a_bad_one_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture at all")
    pictures = [str(path) for path in gocv_paths()]
    answer = detect("--json", pictures[0], str(bad), str(tmp_path / "missing.png"), pictures[1])
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert answer.returncode == 1
    assert [line["file"] for line in lines] == [pictures[0], str(bad), str(tmp_path / "missing.png"), pictures[1]]
    assert [len(line.get("faces", [])) for line in lines] == [1, 0, 0, 1]
    assert all("error" in line for line in lines[1:3])


def test_anonymised_output_hides_the_face_and_nothing_else(tmp_path: Path) -> None:
    picture = gocv_paths()[0]
    out = tmp_path / "out"
    answer = detect("--json", str(picture), "--anonymize", str(out))
    assert answer.returncode == 0, answer.stderr
    x, y, width, height = (round(value) for value in json.loads(answer.stdout)["faces"][0]["box"])
    before, after = (decode_still(path.read_bytes(), path.name) for path in (picture, next(out.iterdir())))
    face = (slice(y, y + height), slice(x, x + width))
    sharp = [cv2.Laplacian(image[face], cv2.CV_64F).var() for image in (before, after)]
    assert sharp[1] != pytest.approx(sharp[0], rel=0.05)
    assert abs(before[:80].astype(int) - after[:80]).mean() < 5


def test_a_wrong_model_file_is_refused_with_a_reason(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a model")
    answer = detect("--json", str(gocv_paths()[0]), "--model", str(wrong))
    assert answer.returncode == 1
    assert "wrong is not a valid ONNX model" in answer.stderr
    assert "Traceback" not in answer.stderr

# SPDX-License-Identifier: Apache-2.0
"""A model file of one's own: taken when it fits its family, refused with what was found and wanted when not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto
from visavis.families import FAMILIES
from visavis.models.manifest import entries, original

from tests.unit.command import complaints, visavis
from tests.unit.face_pictures import gocv_paths
from tests.unit.small_models import write_model

WANTED = {name: f"{name}, {family.form}" for name, family in FAMILIES.items()}


def detect_with(model: Path | str, *words: str) -> subprocess.CompletedProcess[str]:
    # Beside a model of one's own: what an earlier run prepared must not answer for this one.
    cache = {"VISAVIS_CACHE_DIR": str(model.parent / "cache")} if isinstance(model, Path) else {}
    return visavis("detect", gocv_paths()[0], "--input", "64x64", "--json", "--model", model, *words, variables=cache)


def only_complaint(answer: subprocess.CompletedProcess[str]) -> str:
    (line,) = complaints(answer)
    assert answer.returncode == 1
    assert answer.stdout == ""
    return line


def test_a_copy_of_centerface_finds_what_centerface_finds(tmp_path: Path) -> None:
    copy = tmp_path / "mine.onnx"
    copy.write_bytes(original("centerface").content)
    for words in ([], ["--family", "centerface"]):
        own, named = detect_with(copy, *words), detect_with("centerface", *words)
        assert own.returncode == 0, own.stderr
        (ours,), (theirs,) = ([json.loads(line) for line in answer.stdout.splitlines()] for answer in (own, named))
        assert ours == {**theirs, "model": "mine"}


def test_a_model_of_centerfaces_form_runs_whatever_its_weights(tmp_path: Path) -> None:
    answer = detect_with(write_model(tmp_path / "small.onnx"), "--score", "0.05")
    assert answer.returncode == 0, answer.stderr
    faces = json.loads(answer.stdout)["faces"]
    assert faces
    assert all(side > 0 for face in faces for side in face["box"][2:]), "a face in the black beside the picture"


def test_other_outputs_are_refused_with_what_was_found_and_wanted(tmp_path: Path) -> None:
    other = write_model(tmp_path / "other.onnx", channels=(1, 4))
    found = "it has outputs out0 [1, 1, ?, ?], out1 [1, 4, ?, ?]"
    unknown = f"visavis: {other} is not a model of a known family, {found}: wanted is {'; '.join(WANTED.values())}"
    assert only_complaint(detect_with(other)) == unknown
    named = f"visavis: {other} is not a centerface, {found}: wanted is {WANTED['centerface']}"
    assert only_complaint(detect_with(other, "--family", "centerface")) == named


def test_another_element_type_is_refused(tmp_path: Path) -> None:
    half = write_model(tmp_path / "half.onnx", kind=TensorProto.FLOAT16)
    assert f"model {half} is refused, its input data is not float32" in only_complaint(detect_with(half))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08"], ids=["empty", "text", "no-graph"])
def test_a_file_that_is_no_model_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(content)
    line = only_complaint(detect_with(wrong))
    assert line.startswith(f"visavis: {wrong} is not a valid ONNX model, ")
    assert line.endswith(": export or download it again")


def test_a_cut_off_model_is_refused(tmp_path: Path) -> None:
    content = original("centerface").content
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(content[: len(content) // 2])
    assert f"{cut} is not a valid ONNX model" in only_complaint(detect_with(cut))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    split = write_model(tmp_path / "split.onnx")
    onnx.save(onnx.load(split), split, save_as_external_data=True, size_threshold=0, location="weights.bin")
    line = only_complaint(detect_with(split))
    assert line.startswith(f"visavis: {split} keeps weights in other files (")
    assert line.endswith("): save it as one file")


def test_a_missing_model_and_a_folder_are_named(tmp_path: Path) -> None:
    missing, folder = tmp_path / "gone.onnx", tmp_path / "folder.onnx"
    folder.mkdir()
    assert only_complaint(detect_with(missing)) == f"visavis: cannot read model {missing}, No such file or directory"
    assert only_complaint(detect_with(folder)) == f"visavis: cannot read model {folder}, Is a directory"


def test_an_unknown_name_is_answered_with_the_choice() -> None:
    line = only_complaint(detect_with("facefinder"))
    choice = f"choose from {', '.join(entries())} or `visavis model import FILE.onnx`"
    assert line == f"visavis: no model is called 'facefinder': {choice}"


def test_an_unknown_family_is_wrong_use() -> None:
    answer = detect_with("centerface", "--family", "dogs")
    assert answer.returncode == 2
    assert "argument --family: invalid choice: 'dogs'" in answer.stderr


def test_an_input_may_have_the_name_that_ours_has(tmp_path: Path) -> None:
    answer = detect_with(write_model(tmp_path / "small.onnx", picture="image"), "--score", "0.05")
    assert answer.returncode == 0, answer.stderr


def test_operators_that_are_newer_than_ours_run_as_they_are(tmp_path: Path) -> None:
    answer = detect_with(write_model(tmp_path / "new.onnx", opset=18, after="Mish"), "--score", "0.05")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["faces"]

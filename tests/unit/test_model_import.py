# SPDX-License-Identifier: Apache-2.0
"""`visavis model import`: a file of one's own becomes a model with a name, or nothing is kept of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from visavis.atomic import write_atomically
from visavis.errors import ModelError
from visavis.models import imported
from visavis.models.identify import identified
from visavis.models.imported import keep
from visavis.models.manifest import at_hand, known, original

from tests.unit.face_pictures import gocv_paths
from tests.unit.model_files import original_file, scrfd_like
from tests.unit.test_model_cli import model


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "My Model 1.onnx"
    path.write_bytes(scrfd_like())
    return path


@pytest.fixture
def white(tmp_path: Path) -> str:
    """What the SCRFD of chance takes for faces."""
    path = tmp_path / "white.png"
    cv2.imwrite(str(path), np.full((64, 64, 3), 255, np.uint8))
    return str(path)


def test_an_imported_model_has_a_name_and_a_line_and_can_be_prepared(mine: Path, white: str, tmp_path: Path) -> None:
    words = ["--family", "scrfd", "--picture", white, "--licence", "ours", "--json"]
    answer = model(tmp_path, "import", str(mine), *words)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["model"], told["family"], told["faces"] > 0) == ("my-model-1", "scrfd", True)
    assert original("my-model-1", cache_dir=tmp_path).content == scrfd_like()
    assert known(tmp_path)["my-model-1"].licence == "ours"
    assert at_hand(tmp_path) == ["centerface", "my-model-1"]
    listed = [json.loads(line) for line in model(tmp_path, "list", "--json").stdout.splitlines()]
    assert listed[-1]["model"] == "my-model-1"
    assert listed[-1]["source"] == "imported"
    assert model(tmp_path, "prepare", "my-model-1", "--input", "64x64").returncode == 0


def test_a_name_that_says_int8_makes_no_int8_form_of_another_model(mine: Path, tmp_path: Path) -> None:
    assert model(tmp_path, "import", str(mine), "--name", "mine-int8").returncode == 0
    assert model(tmp_path, "prepare", "mine-int8", "--input", "64x64").returncode == 0
    listed = [json.loads(line) for line in model(tmp_path, "list", "--json").stdout.splitlines()]
    assert [(one["model"], one["int8"]) for one in listed if "mine" in one["model"]] == [("mine-int8", [])]


def test_a_model_takes_the_place_of_the_one_that_had_its_name(mine: Path, tmp_path: Path) -> None:
    for content in (scrfd_like(), original_file("yunet-s").read_bytes()):
        mine.write_bytes(content)
        for name in ("mine", "mine-2"):
            assert model(tmp_path, "import", str(mine), "--name", name).returncode == 0
    left = [path.read_bytes() for path in (tmp_path / "originals").glob("*.onnx")]
    assert left == [original_file("yunet-s").read_bytes()] * 2


def test_of_two_imports_under_one_name_at_once_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [scrfd_like(), original_file("yunet-s").read_bytes()]
    first, second = [(identified(content, Path("mine.onnx")), content) for content in contents]
    other = threading.Thread(target=lambda: keep("mine", *second, tmp_path))

    def write_and_let_the_other_in(path: Path, content: bytes) -> None:
        write_atomically(path, content)
        if content == first[1]:
            other.start()
            other.join(0.5)  # as long as the first is not done it waits

    monkeypatch.setattr(imported, "write_atomically", write_and_let_the_other_in)
    keep("mine", *first, tmp_path)
    other.join()
    assert original("mine", cache_dir=tmp_path).content in contents
    assert len(list((tmp_path / "originals").glob("*.onnx"))) == 1


def test_no_model_has_the_name_of_a_file(mine: Path, tmp_path: Path) -> None:
    answer = model(tmp_path, "import", str(mine), "--name", "mine.onnx")
    assert answer.returncode == 1
    assert "cannot be called 'mine.onnx', that is a file: choose another (--name)" in answer.stderr
    assert at_hand(tmp_path) == ["centerface"]


def test_a_real_model_must_find_the_face_of_the_picture(tmp_path: Path) -> None:
    words = ["--name", "yunet-mine", "--picture", str(gocv_paths()[0])]
    answer = model(tmp_path, "import", str(original_file("yunet-s")), *words)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.rstrip().endswith("1 faces found")
    untried = model(tmp_path, "import", str(original_file("yunet-s")), "--name", "yunet-untried")
    assert untried.stdout.rstrip().endswith("not tried on a face: name a --picture"), untried.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--family", "yunet"], "is not a yunet, it has outputs"),
        (["--name", "centerface"], "centerface is a model of the manifest"),
        (["--name", "../up"], "a model cannot be called '../up'"),
        (["--name", "m" * 21], f"a model cannot be called '{'m' * 21}': use 1 to 20 of a-z 0-9 . _ - (--name)"),
        (["--picture", "none.jpg"], "cannot read none.jpg"),
    ],
)
def test_nothing_is_kept_of_what_is_refused(words: list[str], reason: str, mine: Path, tmp_path: Path) -> None:
    answer = model(tmp_path, "import", str(mine), *words)
    assert answer.returncode == 1
    assert reason in answer.stderr
    assert at_hand(tmp_path) == ["centerface"]


def test_a_model_that_finds_nothing_is_not_kept(mine: Path, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((64, 64, 3), np.uint8))
    answer = model(tmp_path, "import", str(mine), "--picture", str(black))
    assert answer.returncode == 1
    assert "my-model-1 finds no face" in answer.stderr
    assert at_hand(tmp_path) == ["centerface"]


@pytest.mark.parametrize(("old", "new"), [('"scrfd"', '"of tomorrow"'), ("{", "")])
def test_a_spoiled_entry_is_named_and_costs_no_other_model(old: str, new: str, mine: Path, tmp_path: Path) -> None:
    assert model(tmp_path, "import", str(mine)).returncode == 0
    entry = tmp_path / "originals" / "my-model-1.json"
    entry.write_text(entry.read_text().replace(old, new))
    answer = model(tmp_path, "list")
    assert answer.returncode == 0
    assert answer.stdout.startswith("centerface ")
    assert "cannot read the imported model" in answer.stderr
    assert original("centerface", cache_dir=tmp_path).name == "centerface"
    with pytest.raises(ModelError, match="cannot read the imported model"):
        original("my-model-1", cache_dir=tmp_path)


def test_a_changed_file_is_refused_with_the_command(mine: Path, tmp_path: Path) -> None:
    model(tmp_path, "import", str(mine))
    [kept] = (tmp_path / "originals").glob("*.onnx")
    kept.write_bytes(scrfd_like()[:-1] + b"!")
    answer = model(tmp_path, "prepare", "my-model-1")
    assert answer.returncode == 1
    assert "visavis model import FILE --name my-model-1" in answer.stderr

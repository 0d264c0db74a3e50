# SPDX-License-Identifier: Apache-2.0
"""`model = "auto"`: what `visavis model bench` recommended here, CenterFace until it has."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from visavis.backends import load_detector
from visavis.daemon import effective_config
from visavis.errors import ModelError
from visavis.models.auto import Recommendation, recommended_model, remember, this_machine
from visavis.models.imported import checked_name
from visavis.settings import DetectorSettings
from visavis.supervisor import worker_command

from tests.unit.model_files import provided
from tests.unit.test_model_cli import model

HINT = "`visavis model bench` measures and makes one"


def recommendation() -> Recommendation:
    return Recommendation(model="yunet-n", input=(320, 256), threads=1, fps=90.0, here=this_machine())


def test_what_bench_recommends_is_what_auto_takes(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(tmp_path, "bench", provided("yunet-n", tmp_path), *words)
    assert answer.returncode == 0, answer.stderr
    assert 'recommended here, and what model = "auto" takes from now on' in answer.stdout
    assert recommended_model(tmp_path) == "yunet-n"
    detector = load_detector(
        DetectorSettings(model="auto", backend="onnxruntime", input_width=96, input_height=64, cache_dir=tmp_path)
    )
    assert detector.model_id == "yunet-n"


def test_auto_never_stands_for_itself(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(tmp_path, "bench", "auto", "centerface", *words)
    assert answer.returncode == 0, answer.stderr
    assert recommended_model(tmp_path) == "centerface"
    assert answer.stdout.count("96x64") == 1, "one model was measured twice"


def test_a_file_that_has_no_name_is_not_for_auto(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(tmp_path, "bench", provided("scrfd-like", tmp_path), *words)
    assert answer.returncode == 0, answer.stderr
    assert "recommended here:" in answer.stdout
    assert recommended_model(tmp_path) == "centerface"


def test_a_bench_that_recommends_nothing_leaves_what_was(tmp_path: Path) -> None:
    remember(recommendation(), tmp_path)
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "1e9")
    assert model(tmp_path, "bench", "centerface", *words).returncode == 0
    assert recommended_model(tmp_path) == "yunet-n"


def test_without_a_recommendation_it_is_centerface_with_a_hint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert recommended_model(tmp_path) == "centerface"
    assert "there is no recommendation yet" in caplog.text
    assert HINT in caplog.text


@pytest.mark.parametrize("field", ["processor", "visavis", "onnxruntime"])
def test_one_of_another_processor_or_version_does_not_count(
    field: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recommendation()
    remember(replace(made, here=replace(made.here, **{field: "another"})), tmp_path)
    with caplog.at_level(logging.WARNING):
        assert recommended_model(tmp_path) == "centerface"
    assert "is of another processor or version" in caplog.text


def test_one_that_cannot_be_read_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    remember(recommendation(), tmp_path).write_text("{")
    with caplog.at_level(logging.WARNING):
        assert recommended_model(tmp_path) == "centerface"
    assert "cannot be read" in caplog.text


def test_a_bench_that_cannot_keep_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "recommended.json").mkdir()
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(tmp_path, "bench", "centerface", *words)
    assert answer.returncode == 0
    assert 'model "auto" will not know this' in answer.stderr


def test_the_configuration_takes_it_and_workers_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[detector]\nmodel = "auto"\n[[camera]]\nid = "demo"\nsource = "demo:"\n')
    command = worker_command(effective_config(file, os.environ))
    assert command[command.index("--model") + 1] == "auto"


def test_no_model_of_ones_own_may_be_called_so() -> None:
    with pytest.raises(ModelError, match="cannot be called 'auto'"):
        checked_name("auto")

# SPDX-License-Identifier: Apache-2.0
"""`model = "auto"`: what `visavis model bench` recommended here, at its input and threads; CenterFace until then."""

from __future__ import annotations

import itertools
import logging
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from visavis import __version__
from visavis.backends import load_detector
from visavis.daemon import effective_config
from visavis.errors import ModelError
from visavis.models.auto import Recommendation, recommended_model, remember, this_machine
from visavis.models.imported import checked_name
from visavis.settings import DetectorSettings
from visavis.worker_command import worker_command

from deb.packing import current_version
from tests.unit.model_files import provided
from tests.unit.test_model_cli import model

HINT = "`visavis model bench` measures and makes one"


def recommendation() -> Recommendation:
    return Recommendation(model="yunet-n", input=(320, 256), threads=1, fps=90.0, here=this_machine())


def test_what_bench_recommends_is_what_auto_takes(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--threads", "1", "--rounds", "1", "--fps", "0.01")
    answer = model(tmp_path, "bench", provided("yunet-n", tmp_path), *words)
    assert answer.returncode == 0, answer.stderr
    assert 'recommended here, and what model = "auto" takes when visavis is started next' in answer.stdout
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


@pytest.mark.parametrize("field", ["processor", "visavis"])
def test_one_of_another_processor_or_version_does_not_count(
    field: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recommendation()
    remember(replace(made, here=replace(made.here, **{field: "another"})), tmp_path)
    with caplog.at_level(logging.WARNING):
        assert recommended_model(tmp_path) == "centerface"
    assert "is of another processor or release" in caplog.text


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


def worker_of(folder: Path, settings: str = "", workers: int = 0) -> dict[str, str]:
    """What a worker is told where a configuration has the model "auto", by the daemon's program itself."""
    file = folder / "config.toml"
    file.write_text(f'[detector]\nmodel = "auto"\n{settings}\n[[camera]]\nid = "demo"\nsource = "demo:"\n')
    words = worker_command(effective_config(file, os.environ), workers)
    return dict(itertools.pairwise(words))


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recommendation, of the kind that this machine's cores allow."""
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    remember(replace(recommendation(), threads=4), tmp_path)
    return tmp_path


def test_its_input_and_threads_are_taken_where_they_are_not_set(measured: Path) -> None:
    told = worker_of(measured)
    assert (told["--model"], told["--input"], told["--threads"]) == ("auto", "320x256", "4")


def test_what_is_set_wins(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = worker_of(measured, "input = [640, 480]\nthreads = 6")
    assert (told["--input"], told["--threads"]) == ("640x480", "6")
    monkeypatch.setenv("VISAVIS_DETECTOR__INPUT", "[96, 64]")
    told = worker_of(measured)
    assert (told["--input"], told["--threads"]) == ("96x64", "8"), "this input was not measured"
    monkeypatch.setenv("VISAVIS_DETECTOR__MODEL", "centerface")
    monkeypatch.delenv("VISAVIS_DETECTOR__INPUT")
    told = worker_of(measured)
    assert (told["--input"], told["--threads"]) == ("640x480", "8"), "another model was not measured"


def test_threads_are_those_of_the_precision_that_was_measured(measured: Path) -> None:
    remember(replace(recommendation(), threads=4, precision="int8"), measured)
    found = {one: worker_of(measured, f'precision = "{one}"')["--threads"] for one in ("auto", "int8", "fp32", "fp16")}
    assert found == {"auto": "4", "int8": "4", "fp32": "8", "fp16": "8"}


def test_several_workers_never_have_more_threads_than_cores(measured: Path) -> None:
    assert [worker_of(measured, workers=count)["--threads"] for count in (1, 2, 4, 8, 16)] == ["4", "4", "2", "1", "1"]


def test_without_a_recommendation_that_counts_all_is_as_usual(measured: Path) -> None:
    made = recommendation()
    remember(replace(made, here=replace(made.here, visavis="0.0.1")), measured)
    told = worker_of(measured)
    assert (told["--input"], told["--threads"]) == ("640x480", "8")


def test_the_release_is_what_the_daemon_is_built_with() -> None:
    assert current_version() == __version__, "no recommendation would count for the daemon"


def test_the_daemon_another_user_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = remember(recommendation(), tmp_path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_no_model_of_ones_own_may_be_called_so() -> None:
    with pytest.raises(ModelError, match="cannot be called 'auto'"):
        checked_name("auto")


def test_a_link_that_somebody_puts_in_its_place_leads_to_nobodys_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, really = tmp_path / "shadow", Path.replace
    secret.write_text("root")
    secret.chmod(0o600)

    def replaced(source: Path, target: Path) -> Path:
        really(source, target)
        target.unlink()
        target.symlink_to(secret)
        return target

    monkeypatch.setattr(Path, "replace", replaced)
    remember(recommendation(), tmp_path / "cache")
    assert secret.stat().st_mode & 0o777 == 0o600

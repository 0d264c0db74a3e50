# SPDX-License-Identifier: Apache-2.0
"""What a worker is told of a configuration, and that it reads it as it was meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from visavis import worker_command as worker_command_module
from visavis.cli import main, worker
from visavis.cli.program import parser_for
from visavis.config_gen import Config, Detector
from visavis.daemon import effective_config
from visavis.scores import unsure_score
from visavis.settings import BACKENDS, PRECISIONS
from visavis.worker_command import usual_threads, worker_command

from contracts.toml_file import read_toml
from tests.repo.test_laws import ROOT
from tests.unit.daemon_double import DaemonDouble


def test_workers_take_as_many_frames_together_as_the_configuration_says(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[worker]\ncredit = 4\nbatch_window_ms = 2.5\nregister_ring = true\n[[camera]]\nid = "demo"\nsource = "demo:"\n'
    )
    words = worker_command(effective_config(file, os.environ))[3:]
    told = worker.settings(parser_for(words).parse_args(words))
    assert (told.credit, told.detector.batch, told.batch_window_ms, told.register_ring) == (4, 4, 2.5, True)


def test_what_is_typed_wins_over_the_configuration(tmp_path: Path) -> None:
    socket, file = tmp_path / "frames.sock", tmp_path / "config.toml"
    file.write_text(f'[worker]\nsocket = "{socket}"\ncredit = 3\n[detector]\nbackend = "onnxruntime"\n')
    typed = ["--backend", "fake", "--model=fake", "--name", "extra"]
    command = [sys.executable, "-m", "visavis.cli", "worker", *typed, "--conf", str(file), "--input", "64x48"]
    with DaemonDouble(socket) as daemon, subprocess.Popen(command) as process:
        try:
            assert daemon.peer
            assert daemon.hello is not None
            assert (daemon.hello.name, daemon.hello.model, daemon.hello.credit) == ("extra", "fake@fake", 3)
        finally:
            process.kill()


def test_threads_are_those_of_what_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "auto" was measured with so many; another model, or another size, was not."""
    measured = {((320, 256), "fp32"): 1}
    monkeypatch.setattr(worker_command_module, "recommended_threads", lambda _, *of: measured.get(of))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    config = Config(detector=Detector(model="auto", input=(320, 256), precision="fp32"))
    for typed, threads in (
        ([], "1"),
        (["--threads", "3"], "1"),  # which follows, and wins
        (["--model", "centerface"], "4"),
        (["--input=640x480"], "4"),
        (["--precision", "int8"], "4"),
    ):
        words = worker_command(worker.changed(config, typed))
        assert words[words.index("--threads") + 1] == threads, typed


def test_a_worker_takes_the_words_that_a_configuration_takes(capsys: pytest.CaptureFixture[str]) -> None:
    sections = read_toml(ROOT / "contracts/config.toml")["section"]
    choices = {
        key["name"]: key.get("choices") for key in next(one["key"] for one in sections if one["name"] == "detector")
    }
    assert {"backend": [*BACKENDS], "precision": [*PRECISIONS]} == {
        name: choices[name] for name in ("backend", "precision")
    }
    for word in ("--backend", "--precision"):
        assert main(["worker", "--socket", "s", word, "fp15"]) == 2
        assert f"argument {word}: invalid choice: 'fp15'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "sent"), [(0.5, 0.1667), (0.9, 0.3), (0.3, 0.1), (0.2, 0.1), (0.1, 0.1), (0.05, 0.05), (0.0, 0.0)]
)
def test_workers_send_less_sure_faces_than_are_told(told: float, sent: float) -> None:
    assert unsure_score(told) == pytest.approx(sent)
    command = worker_command(Config(detector=Detector(score=told)))
    assert float(command[command.index("--score") + 1]) == unsure_score(told)


def test_a_worker_takes_the_cores_that_it_may_use_up_to_16(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cores in (1, 4, 16, 64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        found.append([usual_threads(workers) for workers in (1, 3)])
    assert found == [[1, 1], [4, 1], [16, 5], [16, 16]]


@pytest.mark.parametrize("file", ["systemd/visavis-infer@.service", "deb/tensorrt/gpu.conf"])
def test_a_unit_has_room_for_the_threads_of_both_networks(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one takes pictures of other sizes; signals, the end and a model server have threads too."""
    (room,) = re.findall(r"^TasksMax=(\d+)$", (ROOT / file).read_text(), re.MULTILINE)
    sections = read_toml(ROOT / "contracts/config.toml")["section"]
    (most,) = (key["max"] for section in sections for key in section.get("key", ()) if key["name"] == "threads")
    usual = []
    for cores in (32, 64, 256, 1024):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        usual.append(usual_threads(workers=1))
    assert 2 * (max(most, *usual) - 1) + 8 <= int(room)

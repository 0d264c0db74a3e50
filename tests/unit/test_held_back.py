# SPDX-License-Identifier: Apache-2.0
"""A worker that fails soon after each start is not started each second for ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from visavis import held_back

ROOT = Path(__file__).resolve().parents[2]


class Clock(threading.Event):
    """Counts the seconds that somebody waits for it, and does not wait."""

    waited_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s += timeout or 0
        return self.is_set()


class ToldMeanwhile(threading.Event):
    """Is set by the one who waits for it, when the wait has begun."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return super().wait(timeout)


def waited_s(ran_s: float) -> float:
    clock = Clock()
    assert not held_back.hold_back(ran_s, clock)
    return clock.waited_s


def test_who_fails_again_and_again_is_started_ever_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert [waited_s(1) for _ in range(8)] == [0, 1, 3, 7, 15, 29, 29, 29]
    assert [waited_s(held_back.WELL_S), waited_s(1)] == [0, 1]
    (tmp_path / "failures").write_text("no number")
    assert [waited_s(1), waited_s(1)] == [0, 1]


@pytest.mark.parametrize("unit", ["visavis-capture", "visavis-infer@"])
def test_its_unit_keeps_the_count_while_it_is_started_again(unit: str) -> None:
    lines = (ROOT / "systemd" / f"{unit}.service").read_text().splitlines()
    assert {"Restart=always", "RestartSec=1", "RuntimeDirectoryPreserve=restart"} <= set(lines)
    assert any(line.startswith("RuntimeDirectory=") for line in lines)


def test_who_is_told_to_end_waits_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "failures").write_text("5")
    told = ToldMeanwhile()
    assert held_back.hold_back(1, told)
    assert not held_back.hold_back(1, told)  # it was told before: what it ends with is its own


def test_where_nothing_is_remembered_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert waited_s(1) == 0
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "none"))
    assert [waited_s(1), waited_s(1)] == [0, 0]
    assert "nothing holds back the next start" in caplog.text


def test_a_worker_without_its_model_counts_that_and_tells_systemd(tmp_path: Path) -> None:
    own = {"RUNTIME_DIRECTORY": str(tmp_path), "NOTIFY_SOCKET": str(tmp_path / "notify")}
    command = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(tmp_path / "frames.sock")]
    command += ["--backend", "onnxruntime", "--model", str(tmp_path / "none.onnx")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(own["NOTIFY_SOCKET"])
        said = [
            subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False, cwd=ROOT)
            for _ in range(2)
        ]
        notice = systemd.recv(1000).decode()
    assert [one.returncode for one in said] == [1, 1]
    assert [one.stderr.count("none.onnx") for one in said] == [1, 1]
    assert notice == "STATUS=failed 2 times in a row, see the journal; the next try comes after 1 s"
    assert (tmp_path / "failures").read_text() == "2"


REFUSED = """
import sys, threading
from pathlib import Path
import visavis.daemon, visavis.worker
from visavis.cli import main
def refuse(error):
    def refused(*_, **__):
        raise error
    return refused
{}
sys.exit(main(["worker", "--name", "w1", *sys.argv[1:]]))"""


@pytest.mark.parametrize(
    ("refuses", "words", "says"),
    [
        (
            'threading.Thread.start = refuse(RuntimeError("can\'t start new thread"))',
            ["--socket", "none.sock", "--backend", "fake"],
            "w1: system: no more threads or processes are allowed, can't start new thread: look at",
        ),
        (
            'visavis.worker.run = refuse(OSError(24, "Too many open files"))',
            ["--socket", "none.sock", "--backend", "fake"],
            "w1: system: Too many open files: look at",
        ),
        (
            "visavis.worker.run = refuse(MemoryError())",
            ["--socket", "none.sock", "--backend", "fake"],
            "w1: system: no memory is left: look at",
        ),
        ('visavis.daemon.PROGRAM = "none"', ["--config", "none.toml"], "w1: error: "),
    ],
    ids=["threads", "descriptors", "memory", "the daemon's program"],
)
def test_a_worker_that_the_system_refuses_something_says_it_in_a_line_and_is_held_back(
    refuses: str, words: list[str], says: str, tmp_path: Path
) -> None:
    own = {"RUNTIME_DIRECTORY": str(tmp_path), "VISAVIS_CAPTURE": ""}
    command = [sys.executable, "-c", REFUSED.format(refuses), *words]
    answer = subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"ERROR {says}")
    assert answer.stderr.count("\n") == 1
    assert (tmp_path / "failures").read_text() == "1"


def test_a_socket_whose_name_is_too_long_is_no_lack_of_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(tmp_path / ("s" * 108))]
    own = {"RUNTIME_DIRECTORY": str(tmp_path)}
    answer = subprocess.run(
        [*command, "--backend", "fake"], env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.endswith("ERROR worker: system: AF_UNIX path too long\n")

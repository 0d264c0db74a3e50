# SPDX-License-Identifier: Apache-2.0
"""What a worker remembers of failures on its GPU from one start to the next."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from visavis.errors import GpuUnusable
from visavis.gpu_losses import FORGOTTEN_S, MOST_LOST, WELL_S, GpuLosses, Record

from tests.unit.command import visavis

NAME = "worker-1"
START = """
import os, signal, sys
from pathlib import Path
from visavis.gpu_losses import GpuLosses
losses = GpuLosses(Path(sys.argv[1]), "worker-1")
losses.begin()
losses.watch()
os.kill(os.getpid(), getattr(signal, sys.argv[2]))
"""


def lose(folder: Path, times: int, name: str = NAME) -> None:
    for _ in range(times):
        live(folder, name)


def live(folder: Path, name: str = NAME, meanwhile: Callable[[GpuLosses], None] = lambda _: None) -> int:
    """One start that loses the GPU, after what happens meanwhile; how many it knew of."""
    losses = GpuLosses(folder, name)
    known = losses.begin()
    meanwhile(losses)
    losses.lost()
    return known


def begun(folder: Path, name: str = NAME) -> int:
    return GpuLosses(folder, name).begin()


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now_s = time.time()
    monkeypatch.setattr("visavis.gpu_losses.time.time", lambda: now_s + seconds)


def test_starts_that_lost_the_gpu_are_counted_for_each_worker(tmp_path: Path) -> None:
    lose(tmp_path, MOST_LOST)
    assert begun(tmp_path) == MOST_LOST
    assert begun(tmp_path) == MOST_LOST, "whoever does without the GPU goes on without"
    assert begun(tmp_path, "worker-2") == 0


def test_workers_of_one_name_do_not_count_for_each_other(tmp_path: Path) -> None:
    lose(tmp_path, MOST_LOST)
    first = GpuLosses(tmp_path, NAME)
    lose(tmp_path, 1)
    assert begun(tmp_path) == 1, "the other one begins alone, and is known when it comes back"
    assert first.begin() == MOST_LOST
    subprocess.run([sys.executable, "-c", START, str(tmp_path), "SIGABRT"], check=False, capture_output=True)
    assert begun(tmp_path) == 2
    GpuLosses(tmp_path, NAME).clear()
    assert begun(tmp_path) == 0
    assert first.begin() == MOST_LOST


def test_an_end_for_another_reason_ends_the_row(tmp_path: Path) -> None:
    lose(tmp_path, 2)
    GpuLosses(tmp_path, NAME).clear()
    lose(tmp_path, 1)
    assert begun(tmp_path) == 1


def test_a_long_good_run_ends_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(tmp_path, 2)

    def serve(losses: GpuLosses) -> None:
        losses.ready()
        pass_time(monkeypatch, WELL_S + 1)

    live(tmp_path, meanwhile=serve)
    assert begun(tmp_path) == 1


def test_a_long_start_is_no_good_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that builds its engine first takes that long, and may fail then."""
    for number in range(MOST_LOST):
        assert live(tmp_path, meanwhile=lambda _: pass_time(monkeypatch, WELL_S + 1)) == number
    assert begun(tmp_path) == MOST_LOST


@pytest.mark.parametrize("seconds", [FORGOTTEN_S + 1, -60.0], ids=["an hour", "a clock that was set back"])
def test_the_gpu_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    lose(tmp_path, MOST_LOST)
    pass_time(monkeypatch, seconds)
    assert begun(tmp_path) == MOST_LOST - 1, "once"


def remembered(folder: Path) -> Record:
    return msgspec.json.decode((folder / f"{NAME}.gpu.json").read_bytes(), type=Record)


@pytest.mark.parametrize("told", [True, False], ids=["it fails", "it is killed, as for lack of memory"])
def test_a_gpu_that_stays_lost_is_tried_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    lose(tmp_path, MOST_LOST)
    passed_s, hours = 0.0, []
    for _ in range(7):
        assert begun(tmp_path) == MOST_LOST, "not yet"
        hours.append(remembered(tmp_path).pause_s / 3600)
        passed_s += remembered(tmp_path).pause_s + 1
        pass_time(monkeypatch, passed_s)
        assert (live if told else begun)(tmp_path) == MOST_LOST - 1
    assert hours == [1, 2, 4, 8, 16, 24, 24]


def test_a_gpu_that_is_well_again_has_no_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(tmp_path, MOST_LOST)
    pass_time(monkeypatch, FORGOTTEN_S + 1)
    losses = GpuLosses(tmp_path, NAME)
    losses.begin()
    losses.ready()
    del losses
    assert begun(tmp_path) == MOST_LOST, "it served for a moment"
    pass_time(monkeypatch, 3 * FORGOTTEN_S + 2)
    losses = GpuLosses(tmp_path, NAME)
    losses.begin()
    losses.ready()
    del losses
    pass_time(monkeypatch, 3 * FORGOTTEN_S + WELL_S + 3)
    assert begun(tmp_path) == 0


def test_workers_try_one_after_the_other(tmp_path: Path) -> None:
    rests_s = []
    for name in ("worker-1", "worker-2"):
        lose(tmp_path, MOST_LOST, name)
        rests_s.append(GpuLosses(tmp_path, name).rest_s())
    assert abs(rests_s[0] - rests_s[1]) > 30
    assert all(FORGOTTEN_S - 60 <= rest_s <= 1.2 * FORGOTTEN_S for rest_s in rests_s)


@pytest.mark.parametrize(("signal_name", "counted"), [("SIGABRT", 2), ("SIGSEGV", 2), ("SIGBUS", 2), ("SIGKILL", 0)])
def test_a_crash_of_a_library_counts_and_a_kill_does_not(tmp_path: Path, signal_name: str, counted: int) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", START, str(tmp_path), signal_name], check=False, capture_output=True)
    assert begun(tmp_path) == counted
    assert begun(tmp_path) == counted, "the same crash counts once"


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"count": "many"}'])
def test_a_damaged_record_is_none_and_told(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    lose(tmp_path, MOST_LOST)
    assert not caplog.text, "no record yet is nothing to tell"
    [file] = tmp_path.glob("*.json")
    file.write_bytes(content)
    assert begun(tmp_path) == 0
    assert "cannot be read and counts as none" in caplog.text


def test_a_folder_that_cannot_be_written_hurts_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "file"
    folder.write_text("")
    losses = GpuLosses(folder, NAME)
    assert losses.begin() == 0
    losses.watch()
    losses.lost()
    losses.clear()
    assert "not remembered" in caplog.text


def test_a_name_stays_in_the_folder(tmp_path: Path) -> None:
    lose(tmp_path, 1, "../../" + NAME)
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_worker_on_the_cpu_makes_way_for_one_that_tries_the_gpu_again(tmp_path: Path) -> None:
    notes, rest_s = tmp_path / "notes", 30.0
    notes.mkdir()
    record = Record(MOST_LOST, time.time(), pause_s=rest_s)
    (notes / f"{NAME}.gpu.json").write_bytes(msgspec.json.encode(record))
    answer = visavis("worker", "--socket", tmp_path / "frames.sock", "--name", NAME, "--backend", "tensorrt")
    assert answer.returncode == GpuUnusable.exit_code, answer.stderr
    said = answer.stderr.splitlines()
    assert "it goes on with onnxruntime on the CPU" in said[0]
    assert said[-1].endswith("so that a fresh one tries the GPU again")

# SPDX-License-Identifier: Apache-2.0
"""What measures leaves nothing running, finds workers to kill on any kernel, and says so when it killed none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from visavis.hardware import capture
from visavis.hardware.report import capture_lines
from visavis.system_files import text_of

from tests.unit.command import PROGRAM
from tests.waiting import HANG_S, until

MEASURES = """
import sys
from pathlib import Path
from visavis.hardware.capture import Appliance
print(Appliance(Path(sys.argv[1]), {}).process.pid, flush=True)
sys.stdin.read()
"""


def of(words: str, ours: int) -> list[int]:
    """The processes with these words in their command lines, without `ours`."""
    found = [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cmdline") if words in text_of(file)]
    return [pid for pid in found if pid != ours]


def test_what_is_measured_ends_with_who_measures(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as measuring:
        assert measuring.stdout is not None
        appliance = int(measuring.stdout.readline())
        until(lambda: appliance in of(str(tmp_path), measuring.pid), "this test sees nothing")
        measuring.kill()
    try:
        until(lambda: not of(str(tmp_path), measuring.pid), "something runs on")
    finally:
        for pid in of(str(tmp_path), measuring.pid):
            os.kill(pid, signal.SIGKILL)


def test_ctrl_c_in_the_middle_of_a_model_leaves_no_traceback(tmp_path: Path) -> None:
    # What starts in the background of a shell ignores SIGINT, and so would `visavis bench`.
    command = ["env", "--default-signal=INT", f"TMPDIR={tmp_path}", str(PROGRAM), "bench"]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as bench:
        until(
            lambda: any(os.getsid(pid) == pid for pid in children(bench)), "no model runs where Ctrl-C does not reach"
        )
        os.killpg(bench.pid, signal.SIGINT)
        assert bench.stderr is not None
        assert bench.stderr.read() == "centerface with onnxruntime in fp32\n"
    assert bench.returncode == 130


def children(parent: subprocess.Popen[str]) -> list[int]:
    return capture.Appliance.children(cast(capture.Appliance, SimpleNamespace(process=parent)))


def test_parts_are_found_by_a_kernel_without_lists_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one without CONFIG_PROC_CHILDREN."""
    monkeypatch.setattr(capture, "text_of", lambda file: "" if Path(file).name == "children" else text_of(file))
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        found = children(parent)
        subprocess.run(["kill", str(child)], check=True)
    assert found == [child]


def test_a_daemon_that_answers_too_late_is_asked_again() -> None:
    """It is no reason to report that frames do not add up, or that no camera is there."""
    with socket.create_server(("127.0.0.1", 0)) as daemon, ThreadPoolExecutor(1) as pool:
        daemon.settimeout(HANG_S)
        address = f"http://127.0.0.1:{daemon.getsockname()[1]}/"
        appliance = SimpleNamespace(address=address, process=SimpleNamespace(poll=lambda: None))
        status = pool.submit(capture.Appliance.status, cast(capture.Appliance, appliance))
        with daemon.accept()[0], daemon.accept()[0] as second:
            second.recv(1 << 16)
            second.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"cameras": []}')
            assert status.result(HANG_S) == {"cameras": []}


def test_a_daemon_below_a_folder_called_worker_is_none(tmp_path: Path) -> None:
    daemon = tmp_path / "worker" / "visavis-capture"
    daemon.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", daemon)
    appliance = capture.Appliance.__new__(capture.Appliance)
    appliance.process = cast(subprocess.Popen[bytes], SimpleNamespace(pid=os.getpid()))
    worker = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(tmp_path / "frames.sock")]
    with subprocess.Popen([daemon, "60"]) as first, subprocess.Popen(worker) as second:
        # A program that has just begun has no words yet for a moment.
        until(lambda: all(text_of(f"/proc/{process.pid}/cmdline") for process in (first, second)), "nothing begins")
        found, parts = appliance.workers(), appliance.memory_mib()
        for process in (first, second):
            process.kill()
    assert found == [second.pid]
    assert {*parts} == {"daemon", "worker"}


def test_a_report_without_a_kill_says_so() -> None:
    kills = {"kills": 0, "without_recovery": 0, "recovery_s_most": 0.1, "adds_up": True}
    found: dict[str, Any] = {"cameras": {}, "memory_mib": {}, "handoff_to_stream": 1.0, "kills": kills}
    assert capture_lines(found)[-1].startswith("kills        NONE")
    assert capture_lines({**found, "kills": {**kills, "kills": 2}})[-1].endswith(
        "2, 0 without recovery, longest 0.1 s, frames add up"
    )

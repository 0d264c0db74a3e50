# SPDX-License-Identifier: Apache-2.0
"""Workers come, go, hang and die while clients send pictures and viewers watch: nobody notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from visavis.watchdog import Limits
from websockets.sync.client import connect

from tests.e2e.bombs import photo
from tests.e2e.clients import FAKE_WORKERS, metrics, until_replaced, worker_ids
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.load import closed_loop, statuses
from tests.e2e.test_appliance import assert_status_adds_up, daemon_pid
from tests.e2e.test_gateway import assert_pictures_add_up
from tests.standing_still import paused
from tests.unit.command import visavis
from tests.waiting import HANG_S, until

PICTURE = photo(".jpg", width=320, height=240)
# No lease ends by itself, so whatever a stopped worker has must be answered by another one.
SETTINGS = (
    FAKE_WORKERS
    + """
[gateway]
deadline_ms = 20000
[worker]
lease_ms = 60000
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 20
"""
)
# Each time a frame may meet a worker that has gone; mostly one does.
TIMES_GONE = 3


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("crew"), SETTINGS) as started:
        yield started


def workers(appliance: RunningAppliance, *words: str) -> dict[str, Any]:
    """What `visavis workers --json` says, asked as from another terminal."""
    said = visavis("workers", *words, "--json", variables={"TMPDIR": str(appliance.file.parent)})
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def names(crew: dict[str, Any]) -> list[str]:
    return sorted(member["name"] for member in crew["workers"])


def pid_of(appliance: RunningAppliance, name: str) -> int:
    """The worker's process; 0 between its death and its next start."""
    command = ["pgrep", "-P", str(appliance.process.pid), "-f", f"name {name} "]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return int(found[0]) if found else 0


def answered_by(appliance: RunningAppliance, name: str) -> int:
    return next((int(w["frames"]) for w in appliance.status()["workers"] if w["name"] == name), 0)


@contextmanager
def busy(appliance: RunningAppliance) -> Iterator[None]:
    """Six clients in closed loops and a viewer while the block runs: only answers, and no viewer has to come again."""
    over, watching = threading.Event(), threading.Event()
    url = f"ws://127.0.0.1:{appliance.http_port}/api/v1/cameras/demo/live"

    def watch() -> int:
        seen = 0
        with connect(url, max_size=None) as viewer:
            while not over.is_set():
                viewer.recv(HANG_S)
                seen += 1
                watching.set()
        return seen

    with ThreadPoolExecutor() as pool:
        viewer = pool.submit(watch)
        clients = pool.submit(closed_loop, appliance, PICTURE, ["127.0.0.1"] * 6, 300.0, over)
        try:
            until(watching.is_set, "the viewer sees nothing")
            yield
        finally:
            over.set()
        got = statuses(clients.result())
        assert set(got) == {200}, got
        assert viewer.result() > 1
    assert_pictures_add_up(appliance)
    assert_status_adds_up(appliance)


@contextmanager
def joined(appliance: RunningAppliance, *detector: str) -> Iterator[subprocess.Popen[bytes]]:
    """A plain `visavis worker` beside those of `visavis run`."""
    socket = next(appliance.file.parent.glob("visavis-*/frames.sock"))
    command = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(socket), "--name", "guest", *detector]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_workers_come_and_go_and_nobody_notices(appliance: RunningAppliance) -> None:
    with busy(appliance):
        crew = workers(appliance, "3")
        assert (crew["device"], crew["wanted"], names(crew)) == ("box", 3, ["worker-1", "worker-2", "worker-3"])
        until(lambda: answered_by(appliance, "worker-3") > 5, "the third worker has nothing to do")
        os.kill(int(until(lambda: pid_of(appliance, "worker-2"), "the second worker is away")), signal.SIGKILL)
        with joined(appliance, "--backend", "fake", "--input", "320x240") as guest:
            until(lambda: answered_by(appliance, "guest") > 5, "the worker that joined has nothing to do")
            guest.terminate()
            assert guest.wait(HANG_S) == 0
        crew = workers(appliance, "1")
        assert (crew["wanted"], names(crew)) == (1, ["worker-1"])
        before = answered_by(appliance, "worker-1")
        until(lambda: answered_by(appliance, "worker-1") > before, "the last worker does nothing")
    assert names(workers(appliance)) == ["worker-1"]


def test_what_a_worker_has_that_hangs_or_dies_is_answered_by_another(appliance: RunningAppliance) -> None:
    workers(appliance, "2")
    with busy(appliance):
        hanging = int(until(lambda: pid_of(appliance, "worker-2"), "the second worker is away"))
        before = lent_again(appliance)
        until(lambda: stops_with_a_picture(appliance, hanging, before), "no picture had to go to another worker", 60)
        answered = answered_by(appliance, "worker-1")
        until(lambda: answered_by(appliance, "worker-1") > answered + 20, "clients wait for the hanging worker")
        connected = worker_ids(appliance)
        os.kill(hanging, signal.SIGKILL)
        until_replaced(appliance, connected)
        until(lambda: answered_by(appliance, "worker-2") > 0, "the new worker does nothing")
    workers(appliance, "1")


def test_no_frame_is_lost_to_a_worker_that_goes_while_the_daemon_stands_still(appliance: RunningAppliance) -> None:
    before = appliance.camera("demo")["frames"]["dropped"]["abandoned"]
    for _ in range(TIMES_GONE):
        with joined(appliance, "--backend", "fake", "--input", "320x240") as guest:
            until(lambda: answered_by(appliance, "guest") > 5, "the worker that joined has nothing to do")
            with paused(daemon_pid(appliance)):
                guest.terminate()
                assert guest.wait(HANG_S) == 0
            until(lambda: answered_by(appliance, "guest") == 0, "the daemon does not see that it has gone")
    assert appliance.camera("demo")["frames"]["dropped"]["abandoned"] == before
    assert "worker=guest" not in appliance.log.read_text(), "the daemon says that it hung"
    assert_status_adds_up(appliance)


@pytest.mark.slow
def test_the_only_worker_is_replaced_when_it_hangs(appliance: RunningAppliance) -> None:
    workers(appliance, "1")
    hanging = int(until(lambda: pid_of(appliance, "worker-1"), "the worker is away"))
    os.kill(hanging, signal.SIGSTOP)
    until(lambda: pid_of(appliance, "worker-1") not in {0, hanging}, "nobody replaced it", 2 * Limits().serving_s)
    until(lambda: answered_by(appliance, "worker-1") > 5, "the new worker does nothing")


def lent_again(appliance: RunningAppliance) -> float:
    return metrics(appliance, "visavis_client_frames_lent_again_total")[""]


def stops_with_a_picture(appliance: RunningAppliance, pid: int, before: float) -> bool:
    """Stop the worker; go on if what it has is a camera's frame, which nobody else gets, and say so."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: lent_again(appliance) > before, "not a picture", 3)
    except AssertionError:
        os.kill(pid, signal.SIGCONT)
        return False
    return True


def test_a_number_that_is_none_and_a_device_that_is_none_are_told(appliance: RunningAppliance, tmp_path: Path) -> None:
    here = {"TMPDIR": str(appliance.file.parent)}
    assert visavis("workers", "0", variables=here).returncode == 2
    assert visavis("workers", "17", variables=here).returncode == 2
    elsewhere = visavis("workers", "--device", "porch", variables=here)
    assert (elsewhere.returncode, "of device porch" in elsewhere.stderr) == (1, True)
    nobody = visavis("workers", variables={"TMPDIR": str(tmp_path)})
    assert (nobody.returncode, "start it first" in nobody.stderr) == (1, True)
    shown = visavis("workers", variables=here).stdout.splitlines()
    assert shown[0] == "box: 1 kept by `visavis run`, 1 connected"
    assert shown[1].split()[0] == "worker-1"

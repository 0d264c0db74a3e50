# SPDX-License-Identifier: Apache-2.0
"""`visavis model quantize --from-camera`: pictures of a running daemon, whose viewers see hidden faces only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from visavis import ENDED_BY_CTRL_C
from visavis.appliance import daemon_process
from visavis.backends import Detector
from visavis.bench.models import detector
from visavis.daemon import effective_config
from visavis.detections import Detections, Frame
from visavis.errors import ModelError, Refused
from visavis.models.borrow import Wish, answered, borrowed, without_pictures
from visavis.ring import Lease
from visavis.ring_gen import DETECTION_DTYPE, Refusal
from visavis.supervisor import Supervisor
from visavis.worker_command import worker_command

from tests.no_threads import no_threads
from tests.ports import free_port
from tests.unit.test_model_cli import model
from tests.waiting import HANG_S, until

SIZE = (320, 256)
DEMO = """
[web]
listen = "127.0.0.1:{port}"
[worker]
socket = "{socket}"
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
fps = 10
[detector]
input = [320, 256]
"""


class Daemon(NamedTuple):
    """A real daemon without workers."""

    process: subprocess.Popen[bytes]
    socket: Path
    port: int
    file: Path

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=HANG_S) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def answers(self) -> bool:
        """Whether it is there: it answers once it listens to workers too."""
        with contextlib.suppress(OSError):
            return bool(self.status())
        return False

    def camera(self) -> dict[str, Any]:
        found: dict[str, Any] = self.status()["cameras"][0]
        return found

    def frames_by_worker(self) -> dict[str, int]:
        return {worker["name"]: worker["frames"] for worker in self.status()["workers"]}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=HANG_S):
                return True
        except urllib.error.HTTPError:
            return False


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with without_workers(tmp_path) as daemon:
        yield daemon


@contextlib.contextmanager
def without_workers(folder: Path) -> Iterator[Daemon]:
    socket, port, file = folder / "frames.sock", free_port(), folder / "config.toml"
    file.write_text(DEMO.format(port=port, socket=socket))
    with daemon_process(file, os.environ) as process:
        daemon = Daemon(process, socket, port, file)
        until(daemon.answers, lambda: f"no answer, the daemon's exit code is {process.poll()}")
        yield daemon


@pytest.fixture
def worker(daemon: Daemon) -> Iterator[str]:
    """The name of the daemon's only worker, a real one; there is no place for a second."""
    with Supervisor(worker_command(effective_config(daemon.file, os.environ)), 1):
        until(lambda: daemon.frames_by_worker().get("worker-1"), "the worker got no frame", 60)
        yield "worker-1"


def test_pictures_are_borrowed_as_a_worker_borrows_them(daemon: Daemon) -> None:
    finder = detector("centerface", SIZE)
    wish = Wish(socket=daemon.socket, camera="demo", count=3, least=3, apart_s=0.0, limit_s=60)
    frames = list(borrowed(wish, finder, threading.Event()))
    assert len(frames) == 3
    for frame in frames:
        assert frame.shape == (1, 256, 320, 3)
        assert frame.flags.owndata
        assert finder.detect(frame[0]).size, "the faces were hidden, or it is another picture"
    camera = daemon.camera()
    assert camera["privacy"] == "pixelate"
    until(lambda: daemon.camera()["frames"]["inferred"] >= 3, lambda: f"not inferred: {daemon.camera()}", 60)
    assert_accounted(daemon)


class LeaseDouble:
    """A frame of a camera, and what was answered."""

    def __enter__(self) -> Frame:
        return np.zeros((SIZE[1], SIZE[0], 3), np.uint8)

    def __exit__(self, *_: object) -> None:
        pass

    def answer(self, found: Detections) -> None:
        self.told = found["score"].tolist()


@pytest.mark.parametrize(("scores", "taken"), [([], False), ([0.2, 0.4], False), ([0.2, 0.6], True)])
def test_the_daemon_is_told_of_unsure_faces_too_and_pictures_are_taken_of_sure_ones(
    scores: list[float], taken: bool
) -> None:
    found = np.zeros(len(scores), DETECTION_DTYPE)
    found["score"] = scores
    finder, lease = SimpleNamespace(input_size=SIZE, detect=lambda _frame: found), LeaseDouble()
    copy = answered(cast(Lease, lease), cast(Detector, finder), wanted=True)
    assert (copy is not None) == taken
    assert lease.told == pytest.approx(scores)


def test_who_only_visits_is_no_worker(daemon: Daemon) -> None:
    wish = Wish(socket=daemon.socket, camera="demo", count=2, least=2, apart_s=0.0, limit_s=60)
    visit = borrowed(wish, detector("centerface", SIZE), threading.Event())
    next(visit)
    until(lambda: daemon.camera()["frames"]["inferred"], "the visitor's answer is not counted", 60)
    assert daemon.status()["workers"] == []
    assert not daemon.is_ready(), "nobody looks at the next frame"
    assert len(list(visit)) == 1, "the visitor was not there any more"


def assert_accounted(daemon: Daemon) -> None:
    counted = daemon.camera()["frames"]
    assert counted["captured"] == counted["inferred"] + counted["in_flight"] + sum(counted["dropped"].values())
    assert counted["dropped"]["abandoned"] == counted["dropped"]["no_slot"] == 0


def test_a_daemon_that_has_all_its_workers_is_visited_while_they_go_on(daemon: Daemon, worker: str) -> None:
    finder = detector("centerface", SIZE)
    wish = Wish(socket=daemon.socket, camera="demo", count=3, least=3, apart_s=0.0, look_s=0.0, limit_s=60)
    for frame in borrowed(wish, finder, threading.Event()):
        assert finder.detect(frame[0]).size
        counts = daemon.frames_by_worker()
        assert counts.keys() == {worker}
        goes_on(daemon, worker, counts[worker])
    goes_on(daemon, worker, daemon.frames_by_worker()[worker])
    assert_accounted(daemon)


def goes_on(daemon: Daemon, worker: str, frames: int) -> None:
    until(lambda: daemon.frames_by_worker()[worker] > frames, f"{worker} stands still", 60)


def test_the_command_works_beside_a_running_appliance(daemon: Daemon, worker: str, tmp_path: Path) -> None:
    words = ["--input", "320x256", "--from-camera", "demo", "--socket", str(daemon.socket), "--count", "8"]
    answer = model(tmp_path, "quantize", "centerface", *words)
    if answer.returncode == 1:
        # The demo's faces are too few kinds, or this processor leaves int8 no gain: then that is said.
        assert re.search("times as fast as fp32 here|in int8 differs on", answer.stderr), answer.stderr
    else:
        assert answer.stdout.splitlines()[-1] == 'precision = "int8"'
    assert worker in daemon.frames_by_worker()
    assert_accounted(daemon)


def test_a_camera_that_there_is_not_gives_none(daemon: Daemon) -> None:
    finder = detector("centerface", SIZE)
    wish = Wish(socket=daemon.socket, camera="door", least=1, limit_s=1)
    with pytest.raises(ModelError, match="camera 'door' showed a face on 0 pictures in 1 s, 1 are wanted"):
        list(borrowed(wish, finder, threading.Event()))


def test_who_stops_it_is_not_told_to_stand_before_the_camera(daemon: Daemon) -> None:
    wish = Wish(socket=daemon.socket, camera="demo", count=10**6, least=1, apart_s=0.0, limit_s=600)
    with pytest.raises(
        ModelError, match=r"stopped after 1 of 1000000 pictures: start it again, nothing was kept"
    ) as end:
        stop_after_one(wish)
    assert end.value.exit_code == ENDED_BY_CTRL_C


def stop_after_one(wish: Wish) -> None:
    stop = threading.Event()
    for _ in borrowed(wish, detector("centerface", SIZE), stop):
        stop.set()


def test_another_size_than_the_daemon_draws_is_said(daemon: Daemon) -> None:
    wish = Wish(socket=daemon.socket, camera="demo", limit_s=60)
    with pytest.raises(ModelError, match="the daemon draws 320x256 for its workers: --input 320x256"):
        list(borrowed(wish, detector("centerface", (128, 96)), threading.Event()))


def test_where_no_thread_is_free_to_watch_the_time_that_is_said(daemon: Daemon) -> None:
    finder = detector("centerface", SIZE)
    with no_threads(), pytest.raises(OSError, match="no more threads or processes are allowed"):
        list(borrowed(Wish(socket=daemon.socket, camera="demo"), finder, threading.Event()))


def test_a_second_visitor_is_told_that_one_is_there(daemon: Daemon, tmp_path: Path) -> None:
    stop, inside = threading.Event(), threading.Event()

    def visit() -> None:
        wish = Wish(socket=daemon.socket, camera="demo", count=10**6, least=0, apart_s=0.0)
        with contextlib.suppress(ModelError):  # it is stopped
            for _ in borrowed(wish, detector("centerface", SIZE), stop):
                inside.set()

    other = threading.Thread(target=visit)
    other.start()
    try:
        until(inside.is_set, lambda: "the first visitor got no frame", 60)
        words = ("--input", "96x64", "--from-camera", "demo", "--socket", str(daemon.socket))
        answer = model(tmp_path, "quantize", "centerface", *words)
    finally:
        stop.set()
        other.join()
    assert answer.returncode == 1
    assert "another visitor is connected: another calibration runs, wait until it has ended" in answer.stderr


def test_without_a_daemon_the_command_says_what_to_do(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--from-camera", "door", "--socket", str(tmp_path / "no.sock"))
    answer = model(tmp_path, "quantize", "centerface", *words)
    assert answer.returncode == 1
    assert "no pictures of camera 'door', nobody listens on" in answer.stderr
    assert "--socket" in answer.stderr


def test_who_may_not_open_the_socket_is_told_who_may(tmp_path: Path) -> None:
    refused = Refused(Refusal.PEER_NOT_ALLOWED, "may not connect to /run/visavis/frames.sock", "join the group")
    told = str(without_pictures(refused, Wish(socket=tmp_path / "frames.sock", camera="door")))
    assert (
        "may not connect to /run/visavis/frames.sock: with the package put `sudo -u visavis-infer` before this" in told
    )

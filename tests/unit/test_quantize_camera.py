# SPDX-License-Identifier: Apache-2.0
"""`visavis model quantize --from-camera`: pictures of a running daemon, whose viewers see hidden faces only."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from visavis.appliance import daemon_process
from visavis.bench.models import detector
from visavis.errors import ModelError
from visavis.models.borrow import Wish, borrowed

from tests.e2e.conftest import free_port
from tests.unit.test_model_cli import model
from tests.waiting import until

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

    def camera(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())["cameras"][0]
        return found


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    socket, port, file = tmp_path / "frames.sock", free_port(), tmp_path / "config.toml"
    file.write_text(DEMO.format(port=port, socket=socket))
    with daemon_process(file, os.environ) as process:
        until(socket.exists, lambda: f"no socket, the daemon's exit code is {process.poll()}", 20)
        yield Daemon(process, socket, port)


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
    counted = camera["frames"]
    assert counted["captured"] == counted["inferred"] + counted["in_flight"] + sum(counted["dropped"].values())
    assert counted["inferred"] >= 3


def test_a_camera_that_there_is_not_gives_none(daemon: Daemon) -> None:
    finder = detector("centerface", SIZE)
    wish = Wish(socket=daemon.socket, camera="door", least=1, limit_s=1)
    with pytest.raises(ModelError, match="camera 'door' showed a face on 0 pictures in 1 s, 1 are wanted"):
        list(borrowed(wish, finder, threading.Event()))


def test_another_size_than_the_daemon_draws_is_said(daemon: Daemon) -> None:
    wish = Wish(socket=daemon.socket, camera="demo", limit_s=60)
    with pytest.raises(ModelError, match="the daemon draws 320x256 for its workers: --input 320x256"):
        list(borrowed(wish, detector("centerface", (128, 96)), threading.Event()))


def test_a_daemon_that_has_all_its_workers_says_so(daemon: Daemon, tmp_path: Path) -> None:
    stop, inside = threading.Event(), threading.Event()

    def work() -> None:
        wish = Wish(socket=daemon.socket, camera="demo", count=10**6, least=0, apart_s=0.0)
        for _ in borrowed(wish, detector("centerface", SIZE), stop):
            inside.set()

    other = threading.Thread(target=work)
    other.start()
    try:
        until(inside.is_set, lambda: "the first worker got no frame", 60)
        words = ("--input", "96x64", "--from-camera", "demo", "--socket", str(daemon.socket))
        answer = model(tmp_path, "quantize", "centerface", *words)
    finally:
        stop.set()
        other.join()
    assert answer.returncode == 1
    assert "1 workers are connected: stop one of its workers while this runs" in answer.stderr


def test_without_a_daemon_the_command_says_what_to_do(tmp_path: Path) -> None:
    words = ("--input", "96x64", "--from-camera", "door", "--socket", str(tmp_path / "no.sock"))
    answer = model(tmp_path, "quantize", "centerface", *words)
    assert answer.returncode == 1
    assert "no pictures of camera 'door', nobody listens on" in answer.stderr
    assert "--socket" in answer.stderr

# SPDX-License-Identifier: Apache-2.0
"""Daemon and worker as systemd starts them: a socket that is already open, notices, a configuration for both.

The units themselves run in a virtual machine: tests/vm/test_package.py.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.waiting import HANG_S, until

DAEMON = ROOT / "build" / "visavis-capture"
# As sd_listen_fds(3) wants it: the process that takes the sockets is named in the environment.
TAKE = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=frames exec "$0" -config "$1"'


class House:
    """What systemd holds: the socket for workers, and an ear for notices."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.file, self.door = folder / "config.toml", folder / "frames.sock"
        self.file.write_text(
            f'[web]\nlisten = "127.0.0.1:{self.port}"\n[mqtt]\nurl = ""\nuser = "house"\n'
            f'password_file = "credential:mqtt.password"\n[worker]\nsocket = "{self.door}"\n'
            '[detector]\nbackend = "fake"\n[[camera]]\nid = "demo"\nsource = "demo:"\nsize = [640, 480]\n'
        )
        # What systemd gives to the daemon alone.
        self.secrets = folder / "credentials"
        self.secrets.mkdir()
        (self.secrets / "mqtt.password").write_text("secret\n")
        self.frames = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.frames.bind(str(self.door))
        self.frames.listen(16)
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(folder / "notify"))
        self.ear.settimeout(60)
        self.environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "VISAVIS_STATE_DIR": str(folder)}

    def close(self) -> None:
        self.frames.close()
        self.ear.close()

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon with the open socket as its descriptor 3."""

        def as_three() -> None:
            os.dup2(self.frames.fileno(), 3)

        command = ["sh", "-c", TAKE, str(DAEMON), str(self.file)]
        options = {"preexec_fn": as_three, "pass_fds": (3,)}
        environment = {**self.environment, "CREDENTIALS_DIRECTORY": str(self.secrets)}
        with subprocess.Popen(command, env=environment, **options) as process:  # type: ignore[call-overload]
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def worker(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "visavis.cli", "worker", "--config", str(self.file), "--name", "worker-1"]
        command += words
        environment = {**self.environment, "WATCHDOG_USEC": "400000"}
        with subprocess.Popen(command, env=environment) as process:
            try:
                yield process
            finally:
                process.kill()

    def wait_for(self, notice: str) -> str:
        """The first notice that holds a word."""
        while True:
            heard = self.ear.recv(4096).decode()
            if notice in heard:
                return heard

    def inferred(self) -> int:
        with urlopen(f"http://127.0.0.1:{self.port}/api/v1/status", timeout=HANG_S) as answer:
            return sum(camera["frames"]["inferred"] for camera in json.load(answer)["cameras"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.close()


def test_a_worker_lives_through_a_restart_of_the_daemon_at_the_socket_that_stays(house: House) -> None:
    with house.worker() as worker:
        assert "STATUS=" in house.wait_for("READY=1")
        for _ in range(2):
            with house.daemon() as daemon:
                house.wait_for("READY=1")
                until(house.inferred, "no frame was inferred")
                daemon.send_signal(signal.SIGTERM)
                house.wait_for("STOPPING=1")
                assert daemon.wait(HANG_S) == 0
        assert house.door.exists(), "the daemon removed a socket that is not its own"
        house.wait_for("WATCHDOG=1")
        assert worker.poll() is None
        worker.terminate()
        house.wait_for("STOPPING=1")
        assert worker.wait(HANG_S) == 0


def test_a_worker_with_a_configuration_is_watched_as_its_command_line_says(house: House) -> None:
    with house.worker("--watchdog-s", "7") as worker:
        house.wait_for("READY=1")
        words = Path(f"/proc/{worker.pid}/cmdline").read_text().split("\0")
    assert "--config" not in words
    assert dict(itertools.pairwise(words))["--watchdog-s"] == "7"


def test_a_worker_with_a_configuration_ends_with_its_parent(house: House) -> None:
    with house.worker("--die-with-parent", str(2**22)) as worker:  # it has another one
        assert worker.wait(HANG_S) == 0


def test_a_worker_that_is_stuck_gives_no_sign_of_life(house: House) -> None:
    with house.worker() as worker:
        house.wait_for("WATCHDOG=1")
        worker.send_signal(signal.SIGSTOP)
        house.ear.settimeout(1.0)
        with pytest.raises(TimeoutError):
            house.wait_for("nothing that is ever said")


def test_a_configuration_that_is_refused_ends_the_worker_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[web]\nlisten = 8080\n")
    command = [sys.executable, "-m", "visavis.cli", "worker", "--config", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "config.toml:2" in answer.stderr


def test_a_worker_of_systemd_waits_until_a_configuration_that_is_refused_is_mended(house: House) -> None:
    right = house.file.read_text()
    house.file.write_text(f"{right}fps = 0\n")
    with house.worker() as worker:
        assert house.wait_for("READY=1").endswith("STATUS=waits until the configuration is mended")
        house.wait_for("WATCHDOG=1")
        house.file.write_text(right)
        assert worker.wait(HANG_S) == 0
    with house.worker():
        assert " on fake" in house.wait_for("READY=1")


def test_a_camera_that_is_looked_at_seldom_or_not_at_all_is_alive(house: House) -> None:
    seldom = '[[camera]]\nid = "seldom"\nsource = "demo:"\nsize = [640, 480]\ndetect_fps = 0.01\n'
    house.file.write_text('[device]\nid = "porch"\n' + house.file.read_text() + seldom)
    orders = house.file.with_name("orders") / "porch.json"
    orders.parent.mkdir()
    orders.write_text('{"version": 1, "cameras": {"demo": {"detect": false}}}')
    house.environment["WATCHDOG_USEC"] = "400000"
    with house.daemon():
        house.wait_for("STATUS=2 of 2 cameras")
        for _ in range(5):
            house.wait_for("WATCHDOG=1")

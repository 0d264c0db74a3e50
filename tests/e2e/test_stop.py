# SPDX-License-Identifier: Apache-2.0
"""A daemon that is told to end: it answers what it has, refuses what is new, and tells who listens to come again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from visavis.daemon import daemon_program
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.e2e.bombs import photo
from tests.e2e.clients import FAKE_WORKERS, metrics, post
from tests.e2e.conftest import Start
from tests.e2e.test_appliance import worker_pid
from tests.waiting import HANG_S, until

PICTURE = photo(".jpg", width=320, height=240)
# Cameras that are fed, so that no frame of theirs is what the stopped worker has.
SETTINGS = (
    FAKE_WORKERS
    + """
[gateway]
deadline_ms = 30000
[worker]
lease_ms = 60000
[[camera]]
id = "fed"
source = "push:"
size = [320, 240]
"""
)


def close_code(socket: Connection) -> int:
    """How the daemon closed it."""
    deque(socket, maxlen=0)  # to the end
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(HANG_S)
    assert closed.value.rcvd, "it was cut off"
    return closed.value.rcvd.code


def test_what_is_there_is_answered_and_what_is_new_is_told_to_come_again(start_appliance: Start) -> None:
    appliance = start_appliance(SETTINGS)
    appliance.wait_ready()
    url = f"ws://127.0.0.1:{appliance.http_port}/api/v1"
    paths = ("detect/stream", "cameras/fed/push", "cameras/fed/live")
    stopped = worker_pid(appliance)
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        sockets = [stack.enter_context(connect(f"{url}/{path}", max_size=None)) for path in paths]
        os.kill(stopped, signal.SIGSTOP)
        waiting = pool.submit(post, appliance, PICTURE)
        until(lambda: metrics(appliance, "visavis_client_frames_in_flight")[""] == 1, "nobody has it")
        codes = [pool.submit(close_code, socket) for socket in sockets]
        appliance.process.send_signal(signal.SIGINT)
        until(lambda: not appliance.answers("/readyz"), "a balancer would send more")
        refused = post(appliance, PICTURE)
        os.kill(stopped, signal.SIGCONT)
        assert (refused.status, refused.headers["Retry-After"], refused.headers["Connection"]) == (503, "1", "close")
        assert refused.json["title"] == "The device stops"
        assert waiting.result().status == 200
        assert [code.result() for code in codes] == [1001, 1001, 1001]
    assert appliance.process.wait(HANG_S) == 0


def test_a_reload_that_comes_while_the_daemon_starts_does_not_end_it(tmp_path: Path) -> None:
    credentials, said = tmp_path / "credentials.toml", tmp_path / "said"
    os.mkfifo(credentials, 0o600)  # who reads it waits for who writes
    settings = {
        "AUTH__ENABLED": "true",
        "AUTH__FILE": str(credentials),
        "WEB__LISTEN": "127.0.0.1:0",
        "MQTT__URL": "",
        "WORKER__SOCKET": str(tmp_path / "frames.sock"),
    }
    environment = os.environ | {f"VISAVIS_{name}": value for name, value in settings.items()}
    with said.open("w") as log, subprocess.Popen([daemon_program()], env=environment, stderr=log) as daemon:
        try:
            writer = until(lambda: read_by_somebody(credentials), said.read_text)
            daemon.send_signal(signal.SIGHUP)
            credentials.unlink()
            os.write(writer, b"# nobody\n")
            os.close(writer)
            until(lambda: daemon.poll() is not None or " serving " in said.read_text(), said.read_text)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(HANG_S) == 0, said.read_text()
        finally:
            daemon.kill()


def read_by_somebody(pipe: Path) -> int | None:
    """A descriptor for writing, once there is a reader."""
    with contextlib.suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None

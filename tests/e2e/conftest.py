# SPDX-License-Identifier: Apache-2.0
"""The real appliance for tests: `visavis run` on free ports, with the real broker, daemon and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.waiting import HANG_S, until

READY_LIMIT_S = 60.0


class RunningAppliance:
    """A `visavis run` with its ports and its output."""

    def __init__(self, folder: Path, configuration: str, *arguments: str, before: tuple[str, ...] = ()) -> None:
        """Start it; `before` is a program that starts it, with arguments, for example `unshare`."""
        self.http_port, self.mqtt_port = free_port(), free_port()
        self.log = folder / "run.log"
        file = folder / "config.toml"
        file.write_text(configuration.format(http_port=self.http_port))
        self.file = file
        environment = {**os.environ, "VISAVIS_MQTT_PORT": str(self.mqtt_port), "TMPDIR": str(folder)}
        command = [*before, sys.executable, "-m", "visavis.cli", "run", "--config", str(file), *arguments]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def get(self, route: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{route}", timeout=HANG_S) as answer:
            return bytes(answer.read())

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/api/v1/status"))
        return found

    def camera(self, name: str) -> dict[str, Any]:
        return next(camera for camera in self.status()["cameras"] if camera["id"] == name)

    def wait_ready(self) -> None:
        until(lambda: self.answers("/readyz"), lambda: f"/readyz is not 200: {self.log.read_text()}", READY_LIMIT_S)

    def answers(self, route: str) -> bool:
        assert self.process.poll() is None, f"visavis run ended: {self.log.read_text()}"
        try:
            self.get(route)
        except (urllib.error.URLError, OSError):
            return False
        return True

    def messages(self, topic: str, count: int, limit_s: int = 120) -> list[str]:
        """The payloads of the next `count` messages, by the real mosquitto_sub."""
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.mqtt_port), "-t", topic]
        command += ["-C", str(count), "-W", str(limit_s)]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        assert len(lines) == count, f"{len(lines)} of {count} messages on {topic}: {self.log.read_text()}"
        return lines

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(HANG_S)


@contextmanager
def running(folder: Path, configuration: str) -> Iterator[RunningAppliance]:
    """An appliance that is ready, for all tests of a module that leave it as it was; it must end in order."""
    appliance = RunningAppliance(folder, configuration)
    try:
        appliance.wait_ready()
        yield appliance
    finally:
        ended = appliance.stop()
    assert ended == 0


# What the fixture start_appliance is: a configuration, and options of `visavis run`.
Start = Callable[..., RunningAppliance]


@pytest.fixture
def start_appliance(tmp_path: Path) -> Iterator[Start]:
    """Start an appliance with a configuration text; whatever still runs is ended after the test."""
    running: list[RunningAppliance] = []

    def start(configuration: str, *arguments: str) -> RunningAppliance:
        appliance = RunningAppliance(tmp_path, configuration, *arguments)
        running.append(appliance)
        return appliance

    yield start
    for appliance in running:
        if appliance.process.poll() is None:
            appliance.stop()

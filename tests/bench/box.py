# SPDX-License-Identifier: Apache-2.0
"""A running appliance to be measured: the real broker, daemon and workers, on free ports, with their process ids.

It is what `visavis run` starts, but for the workers' command: the recording worker of `recorder.py` can stand in.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from msgspec.structs import replace
from visavis.appliance import daemon_process
from visavis.broker import managed_broker
from visavis.daemon import effective_config
from visavis.supervisor import Supervisor
from visavis.worker_command import worker_command

from tests.ports import free_port

READY_LIMIT_S = 60.0
CONFIG = """\
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = "mqtt://127.0.0.1:{mqtt_port}"
[detector]
workers = {workers}
backend = "{backend}"
"""
CAMERA = """\
[[camera]]
id = "{name}"
source = "{source}"
size = [640, 480]
fps = {fps}
"""
Command = Callable[[list[str], Path], list[str]]


class Box:
    """One appliance while the block runs.

    Args:
        cameras: how many 640x480 cameras; they are called camera1, camera2 and so on.
        workers: how many workers.
        backend: "onnxruntime" (CenterFace) or "fake" (5 ms).
        source: of every camera.
        fps: of every camera.
        command: turns a worker's command into another; it is given the folder of this run.
    """

    def __init__(
        self,
        cameras: int = 1,
        workers: int = 1,
        backend: str = "onnxruntime",
        source: str = "demo:",
        fps: float = 30,
        command: Command = lambda words, _folder: words,
    ) -> None:
        self.http_port, self.mqtt_port = free_port(), free_port()
        self.cameras = [f"camera{n + 1}" for n in range(cameras)]
        ports = {"http_port": self.http_port, "mqtt_port": self.mqtt_port}
        self._text = CONFIG.format(workers=workers, backend=backend, **ports) + "".join(
            CAMERA.format(name=name, source=source, fps=fps) for name in self.cameras
        )
        self._command = command
        self._parts = ExitStack()
        self.folder: Path
        self.daemon: subprocess.Popen[bytes]
        self._workers: Supervisor

    def __enter__(self) -> Box:
        with ExitStack() as parts:
            self.folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            file = self.folder / "config.toml"
            file.write_text(self._text)
            environment = dict(os.environ, VISAVIS_WORKER__SOCKET=str(self.folder / "frames.sock"))
            environment["VISAVIS_STATE_DIR"] = str(self.folder)
            config = effective_config(file, environment)
            url = parts.enter_context(managed_broker(self.mqtt_port, self.folder))
            config = replace(config, mqtt=replace(config.mqtt, url=url))
            self.daemon = parts.enter_context(daemon_process(file, environment))
            command = self._command(worker_command(config), self.folder)
            self._workers = parts.enter_context(Supervisor(command, config.detector.workers))
            self._wait_until_every_camera_is_inferred()
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def stop_workers(self) -> None:
        """End the workers in order, so that a recording one writes what it has."""
        self._workers.__exit__(None, None, None)

    def workers(self) -> list[int]:
        """Process ids."""
        return list(self._workers.pids().values())

    def status(self) -> dict[str, Any]:
        """The daemon's own status."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/api/v1/status", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def inferred(self) -> int:
        """Frames inferred so far, of all cameras."""
        return sum(int(camera["frames"]["inferred"]) for camera in self.status()["cameras"])

    def _wait_until_every_camera_is_inferred(self) -> None:
        end_s = time.monotonic() + READY_LIMIT_S
        while not self._infers_every_camera():
            if time.monotonic() > end_s or self.daemon.poll() is not None:
                raise TimeoutError(f"the appliance did not infer every camera within {READY_LIMIT_S:.0f} s")
            time.sleep(0.05)

    def _infers_every_camera(self) -> bool:
        try:
            return all(camera["frames"]["inferred"] > 2 for camera in self.status()["cameras"])
        except OSError:
            return False

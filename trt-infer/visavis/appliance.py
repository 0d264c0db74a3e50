# SPDX-License-Identifier: Apache-2.0
"""Everything in the foreground, for a desk or a first look: broker, daemon, workers, live figures.

`Appliance.serve` reads top to bottom: make a folder for what is running, read the configuration, start the broker,
the daemon and the workers at the same time, show figures until told to stop, end everything in the reverse order.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from visavis.broker import managed_broker
from visavis.config_gen import Config
from visavis.crew import Crew, Member, Request, listening, run_folder
from visavis.daemon import ConfigRefused, daemon_program, effective_config
from visavis.engines.first_build import FirstBuild, build_command, build_note
from visavis.errors import VisavisError
from visavis.figures import daemon_status, figures, page_address
from visavis.greeting import greet
from visavis.models.configured import check_model
from visavis.own_folder import put
from visavis.supervisor import Supervisor
from visavis.terminal import LiveLines
from visavis.toml_text import quoted
from visavis.worker_command import worker_command

FIGURES_PERIOD_S = 1.0
MOST_DIGITS = 5  # of a port
# Less than `visavis workers` waits; in one second a busy daemon would count as one without workers.
STATUS_LIMIT_S = 8.0
DAEMON_STOP_LIMIT_S = 8.0  # it answers clients for up to 4 s, and then closes everything

CLIENTS_ALONE = """\
# Written by `visavis serve`; `visavis serve --config FILE` takes your own.
camera = []

[web]
listen = "127.0.0.1:{http_port}"

[mqtt]
url = ""
"""

FIRST_LOOK = """\
# Written by `visavis run` for a first look; `visavis run --config FILE` takes your own.
[web]
listen = "127.0.0.1:{http_port}"

[mqtt]
url = "managed"

[[camera]]
id = "{camera}"
source = {source}
size = [640, 480]
"""


class DaemonEnded(VisavisError):
    """visavis-capture ended by itself; its own message went to the terminal."""


class WrongPort(VisavisError):
    """An environment variable that should hold a port holds something else."""

    kind = "setting"
    exit_code = 2


class RunSettings(msgspec.Struct, frozen=True):
    """What `visavis run` was asked for."""

    config: Path | None
    backend: str | None
    camera: str
    http_port: int
    mqtt_port: int
    cameras: bool = True  # without a configuration: False is a device that serves clients alone
    overrides: tuple[tuple[str, str], ...] = ()  # of the configuration, as environment variables

    @classmethod
    def from_environment(cls, config: Path | None, backend: str | None) -> RunSettings:
        """Read CAMERA, VISAVIS_HTTP_PORT and VISAVIS_MQTT_PORT.

        Raises:
            WrongPort: one of the two is no port.
        """
        return cls(
            config=config,
            backend=backend,
            camera=os.environ.get("CAMERA", ""),
            http_port=port_from_environment("VISAVIS_HTTP_PORT", 8080),
            mqtt_port=port_from_environment("VISAVIS_MQTT_PORT", 1883),
        )


def port_from_environment(name: str, default: int) -> int:
    """Read the port that variable `name` holds; `default` when it is not set or empty.

    Raises:
        WrongPort: it holds something else than a port.
    """
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS and 1 <= int(text) <= 65535):
        raise WrongPort(f"{name} is {text!r}, which is not a port", "set it to a number from 1 to 65535, or unset it")
    return int(text)


class Appliance:
    """Broker, daemon and workers as one thing that starts and ends."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings

    def serve(self, stop: threading.Event) -> None:
        """Run until `stop` is set; leaves no process, socket or file behind.

        Raises:
            VisavisError: a part cannot be started, or the daemon ended by itself.
        """
        with ExitStack() as parts:
            folder = parts.enter_context(run_folder())
            file = self._settings.config or first_look(self._settings, folder)
            environment = {**os.environ, **dict(self._settings.overrides)}
            environment["VISAVIS_WORKER__SOCKET"] = str(folder / "frames.sock")
            if self._settings.backend is not None:
                environment["VISAVIS_DETECTOR__BACKEND"] = self._settings.backend
            config = self._config(file, environment)
            check_model(config.detector)
            if config.mqtt.url == "managed":
                url = parts.enter_context(managed_broker(self._settings.mqtt_port, folder))
                environment["VISAVIS_MQTT__URL"] = url
                config = replace(config, mqtt=replace(config.mqtt, url=url))
            token = secrets.token_urlsafe() if config.auth.enabled else ""
            environment["VISAVIS_RUN_TOKEN"] = token  # lets the lines below look at the status, and nobody else
            daemon = parts.enter_context(daemon_process(file, environment))
            workers = parts.enter_context(Supervisor(worker_command(config), config.detector.workers, folder))
            parts.callback(end, daemon)  # before the workers: it lets them answer what clients wait for
            crew = CrewOf(config, workers, token)
            renew = partial(workers.renew, crew.connected)
            parts.enter_context(FirstBuild(build_command(config), build_note(config), renew))
            parts.enter_context(listening(folder, crew.answer))
            greet(config)
            follow(daemon, config, token, stop)

    def _config(self, file: Path, environment: Mapping[str, str]) -> Config:
        """Read the configuration; what is wrong with CAMERA is said of CAMERA, for the file is gone with this process.

        Raises:
            ConfigRefused: with every problem, one a line.
        """
        try:
            return effective_config(file, environment)
        except ConfigRefused as error:
            said = re.sub(rf"{re.escape(str(file))}:\d+: camera\[0\]\.source", "CAMERA", error.sentence)
            if self._settings.config is not None or said == error.sentence:
                raise
            remedy = "a configuration has such keys, see docs/how-to/rtsp-camera.md" if "password_file" in said else ""
            raise ConfigRefused(said, remedy) from error


def first_look(settings: RunSettings, folder: Path) -> Path:
    """Write a configuration for the demo, for the one camera that CAMERA names, or for clients alone."""
    file = folder / "config.toml"
    if not settings.cameras:
        put(file, CLIENTS_ALONE.format(http_port=settings.http_port))
        return file
    source = camera_source(settings.camera)
    camera = "camera" if settings.camera else "demo"
    text = FIRST_LOOK.format(http_port=settings.http_port, camera=camera, source=quoted(source))
    put(file, text)
    return file


def camera_source(camera: str) -> str:
    """The `source` of what a person wrote into CAMERA: a device, an address, a file, or nothing for the demo."""
    if not camera:
        return "demo:"
    if camera.startswith("/dev/"):
        return f"v4l2:{camera}"
    if ":" in camera:
        return camera
    return f"file:{Path(camera).resolve()}"


@contextmanager
def daemon_process(file: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run visavis-capture while the block runs; in a session of its own, so that Ctrl-C reaches it only through us."""
    command = [daemon_program(), "-config", str(file), "-die-with-parent"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        end(process)


def end(daemon: subprocess.Popen[bytes]) -> None:
    """Ask the daemon to end, then make it end; does nothing to one that has ended."""
    daemon.terminate()
    try:
        daemon.wait(DAEMON_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


class CrewOf:
    """Answers `visavis workers` for one appliance; `token` may look at the daemon's status."""

    def __init__(self, config: Config, workers: Supervisor, token: str) -> None:
        self._config, self._workers, self._token = config, workers, token

    def answer(self, request: Request) -> Crew:
        """Change the number of workers if that is asked for, and tell who is connected."""
        if request.workers is not None:
            self._workers.resize(request.workers, worker_command(self._config, request.workers))
        return Crew(device=self._config.device.id, wanted=self._workers.count, workers=self._members())

    def connected(self) -> set[tuple[str, int]]:
        """The workers that the daemon has, with its numbers of them; none while it does not answer."""
        return {(member.name, member.id) for member in self._members()}

    def _members(self) -> tuple[Member, ...]:
        status = daemon_status(page_address(self._config.web), self._token, STATUS_LIMIT_S)
        return msgspec.convert(status["workers"], tuple[Member, ...]) if status else ()


def follow(daemon: subprocess.Popen[bytes], config: Config, token: str, stop: threading.Event) -> None:
    """Show figures each second, where they can be shown, until `stop` is set or the daemon ends."""
    lines = LiveLines()
    while not stop.wait(FIGURES_PERIOD_S):
        if daemon.poll() is not None:
            raise DaemonEnded(f"the daemon ended with {daemon.returncode}: its own message is above")
        shown = figures(page_address(config.web), token) if lines.possible else []
        if shown:
            lines.show(shown)

# SPDX-License-Identifier: Apache-2.0
"""A device whose every secret is known beforehand, so that each can be looked for in whatever it says.

Its first broker takes it, its second refuses it; one camera lets it in, the others do not; its model server fails and
repeats in its answer what it was sent.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from contracts.config_spec import load
from tests.e2e.brokers import USER, mosquitto, self_signed
from tests.e2e.conftest import READY_LIMIT_S, RunningAppliance
from tests.e2e.test_appliance import daemon_pid
from tests.e2e.test_network_camera import NetworkCamera
from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.unit.command import visavis
from tests.waiting import HANG_S, until

# The file of each setting that names a secret has the setting's name.
SETTINGS = """
[device]
id = "box"
[web]
listen = "0.0.0.0:{{http_port}}"
cert = "{folder}/web.cert"
key = "{folder}/web.key"
log_requests = "all"
[auth]
file = "{folder}/auth.file"
claim_code_file = "{folder}/auth.claim_code_file"
[mqtt]
url = "mqtts://127.0.0.1:{first}"
user = "visavis"
password_file = "{folder}/mqtt.password_file"
ca = "{folder}/first/broker.pem"
cert = "{folder}/mqtt.cert"
key = "{folder}/mqtt.key"
[mqtt_second]
url = "mqtts://127.0.0.1:{second}"
user = "visavis"
password_file = "{folder}/mqtt_second.password_file"
ca = "{folder}/second/broker.pem"
cert = "{folder}/mqtt_second.cert"
key = "{folder}/mqtt_second.key"
[detector]
backend = "kserve"
input = [320, 256]
kserve_url = "http://127.0.0.1:{kserve}"
kserve_token_file = "{folder}/detector.kserve_token_file"
[gateway]
deadline_ms = 1000
[[camera]]
id = "door"
source = "rtsp://127.0.0.1:{rtsp}/live"
user = "porch"
password_file = "{folder}/camera.password_file"
size = [640, 480]
[[camera]]
id = "shed"
source = "rtsp://127.0.0.1:{rtsp}/live?password=canary-in-an-address"
user = "porch"
password_file = "{folder}/shed.password_file"
size = [640, 480]
[[camera]]
id = "gate"
source = "rtsp://127.0.0.1:{rtsp}/{{{{password}}}}/live"
password_file = "{folder}/gate.password_file"
size = [640, 480]
"""
IN_ADDRESS = "canary-in-an-address"
CLAIM_CODE = "CANARY23"
ADMIN = "canary-of-the-administrator"
TEXTS = {
    "auth.claim_code_file": CLAIM_CODE,
    "mqtt.password_file": "canary-of-the-first-broker",
    "mqtt_second.password_file": "canary-of-the-second-broker",
    "detector.kserve_token_file": "canary-of-the-model-server",
    "camera.password_file": "canary-of-the-door",
}
SHED = "canary-of-the-shed"  # not what the camera wants
GATE = "canary-of-the-gate"  # has its place in the address
KEYS = ("web.key", "mqtt.key", "mqtt_second.key")
JSON = {"Content-Type": "application/json"}
TEXT_KINDS = ("text/", "application/")


def secret_settings() -> set[str]:
    """Settings whose files hold a secret, as contracts/config.toml marks them."""
    sections = load(ROOT / "contracts" / "config.toml")
    return {f"{section.name}.{key.name}" for section in sections for key in section.keys if key.secret}


def file_settings() -> set[str]:
    """Settings that name a file or folder which is neither a socket nor a clip."""
    sections = load(ROOT / "contracts" / "config.toml")
    kinds = {"readable_file", "path"}
    return {f"{section.name}.{key.name}" for section in sections for key in section.keys if key.format in kinds}


class Said(NamedTuple):
    """What was said, and where."""

    where: str
    words: str


class Device:
    """The device, and what it must keep to itself: by name, the texts of which none may be seen."""

    def __init__(self, folder: Path, appliance: RunningAppliance) -> None:
        self.folder, self.appliance = folder, appliance
        self.secrets = {name: [text] for name, text in TEXTS.items()}
        self.secrets |= {"other cameras' passwords": [SHED, GATE], "the administrator's password": [ADMIN]}
        self.secrets |= {name: lines_of_key(folder / name) for name in KEYS}
        self._trusted = ssl.create_default_context(cafile=str(folder / "web.cert"))

    @property
    def log(self) -> str:
        return self.appliance.log.read_text()

    def until_said(self, words: str) -> None:
        until(lambda: words in self.log, lambda: f"no {words!r} in {self.log}", READY_LIMIT_S)

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        address = ("127.0.0.1", self.appliance.http_port)
        connection = http.client.HTTPSConnection(*address, timeout=HANG_S, context=self._trusted)
        connection.request(method, path, body, dict(headers or {}))
        return connection.getresponse()

    def said(
        self, path: str, method: str = "GET", body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Said:
        """An answer, headers and all; of pictures and streams the headers alone."""
        answer = self.ask(path, method, body, headers)
        endless = not answer.headers.get("Content-Type", "text/").startswith(TEXT_KINDS)
        words = "" if endless else answer.read().decode(errors="replace")
        return Said(f"{method} {path} {answer.status}", f"{answer.headers}\n{words}")

    def claim(self) -> None:
        """Become its administrator with the code, and let `visavis auth` make a token."""
        body = json.dumps({"code": CLAIM_CODE, "name": "owner", "password": ADMIN})
        answer = self.ask("/api/v1/claim", "POST", body, JSON)
        assert answer.status == 200, answer.read()
        self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        file = self.appliance.file
        made = visavis("auth", "add", "program", "--role", "admin", "--token", "--config", file).stdout
        (self.token,) = re.findall(r"vis_\w+", made)
        environment = Path(f"/proc/{daemon_pid(self.appliance)}/environ").read_text()
        (run_token,) = re.findall(r"VISAVIS_RUN_TOKEN=([^\0]+)", environment)
        hashes = re.findall(r"\$argon2id\$[^'\"\s]+", (self.folder / "auth.file").read_text())
        assert len(hashes) == 2
        self.secrets["auth.file"] = hashes
        self.secrets |= {"a session's cookie": [self.cookie.partition("=")[2]], "a token": [self.token]}
        self.secrets["the token of visavis run"] = [run_token]

    def leaks(self, said: Said) -> list[str]:
        """Which secrets can be seen in it."""
        return [name for name, texts in self.secrets.items() if any(text in said.words for text in texts)]


def lines_of_key(file: Path) -> list[str]:
    """The base64 of a PEM, line by line."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith("-----")]


class Echo(BaseHTTPRequestHandler):
    """A model server that is out of order, and careless: it repeats what it was sent."""

    def do_GET(self) -> None:
        words = str(self.headers).encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def careless_server() -> Iterator[int]:
    """The port of one, while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


@contextmanager
def device(folder: Path) -> Iterator[Device]:
    """A device with all of it that has been claimed, and has met every peer."""
    write_secrets(folder)
    with ExitStack() as parts:
        ports = peers(folder, parts)
        made = Device(folder, RunningAppliance(folder, SETTINGS.format(folder=folder, **ports)))
        parts.callback(made.appliance.stop)
        made.until_said("nobody is an administrator yet")
        made.claim()
        for peer in ("camera delivers", "but gives no picture", "broker away, trying again", "is lost (loss 1)"):
            made.until_said(peer)
        until(lambda: made.ask("/readyz").status == 200, lambda: made.log, READY_LIMIT_S)
        yield made


def write_secrets(folder: Path) -> None:
    for name, text in {**TEXTS, "shed.password_file": SHED, "gate.password_file": GATE}.items():
        (folder / name).write_text(text + "\n")
    for name in ("web", "mqtt", "mqtt_second"):
        self_signed(folder / f"{name}.cert", folder / f"{name}.key")


def peers(folder: Path, parts: ExitStack) -> dict[str, int]:
    """Start a camera, a model server and two brokers, of which the second wants another password; their ports."""
    camera = NetworkCamera(folder, TEXTS["camera.password_file"])
    parts.callback(camera.end)
    ports = {"rtsp": camera.port, "kserve": parts.enter_context(careless_server())}
    brokers = {"first": ("mqtt", TEXTS["mqtt.password_file"]), "second": ("mqtt_second", "another")}
    for name, (section, password) in brokers.items():
        ports[name] = free_port()
        (folder / name).mkdir()
        wants = ["require_certificate true", f"cafile {folder / section}.cert"]
        parts.enter_context(mosquitto(folder / name, ports[name], password=password, tls=True, more=wants))
    return ports


@contextmanager
def overheard(device: Device, port: int) -> Iterator[Path]:
    """The file that gets every message at the first broker while the block runs."""
    file = device.folder / "messages"
    words = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "#", "-v", "-u", USER]
    words += ["-P", TEXTS["mqtt.password_file"], "--cafile", str(device.folder / "first" / "broker.pem")]
    words += ["--cert", str(device.folder / "mqtt.cert"), "--key", str(device.folder / "mqtt.key")]
    with file.open("wb") as out, subprocess.Popen(words, stdout=out) as listener:
        try:
            yield file
        finally:
            listener.terminate()

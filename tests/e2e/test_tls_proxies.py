# SPDX-License-Identifier: Apache-2.0
"""A device behind the real HAProxy and the real Caddy, which encrypt for it as docs/how-to/home-network.md says."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.sync.client import connect

from tests.e2e.balancers import caddy, haproxy, on_page
from tests.e2e.brokers import is_open, self_signed
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_login import MORE, PASSWORD, how_to, log_in
from tests.e2e.test_page import chromium, until_all_move
from tests.e2e.test_try import COUNT, USUAL, start_camera
from tests.e2e.test_two_gateways import PICTURE
from tests.ports import free_port
from tests.unit.command import NOTHING, PROGRAM
from tests.waiting import HANG_S, until

NAME = "porch.example.org"
# What only a test needs: its ports, and an authority that nobody else is told of.
CADDY = """{{
	admin off
	skip_install_trust
	default_bind 127.0.0.1
	http_port {plain_port}
	https_port {port}
}}
"""


class Proxied(NamedTuple):
    """A device, a proxy's port, an operator's token and which proxy it is."""

    device: RunningAppliance
    port: int
    token: str
    kind: str

    def connected(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), HANG_S, (source, 0))
        return unchecked().wrap_socket(plain, server_hostname=NAME)

    def ask(
        self, method: str, path: str, body: str = "", headers: Mapping[str, str] = NOTHING, source: str = "127.0.0.1"
    ) -> http.client.HTTPResponse:
        """The answer to a request, of which nothing is read yet."""
        with self.connected(source) as connection:
            lines = {"Host": NAME, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer

    def login(
        self, name: str, password: str, *, source: str, headers: Mapping[str, str] = NOTHING
    ) -> http.client.HTTPResponse:
        body = json.dumps({"name": name, "password": password})
        return self.ask("POST", "/api/v1/login", body, headers, source)


def unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def in_front(kind: str, device: RunningAppliance, folder: Path) -> Iterator[int]:
    """The port of a proxy, set up as the page says."""
    port, file = free_port(), folder / f"{kind}.conf"
    text = on_page("home-network.md", kind).replace("127.0.0.1:8080", f"127.0.0.1:{device.http_port}")
    if kind == "haproxy":
        self_signed(folder / "cert", folder / "key")
        (folder / "porch.pem").write_text((folder / "cert").read_text() + (folder / "key").read_text())
        text = text.replace("bind :443", f"bind 127.0.0.1:{port}").replace("/etc/haproxy/", f"{folder}/")
    else:
        text = CADDY.format(port=port, plain_port=free_port()) + text
    file.write_text(text)
    with haproxy(file) if kind == "haproxy" else caddy(file):
        until(lambda: is_open(port), f"{kind} does not serve")
        yield port


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """The page's own configuration for a name, on a free port."""
    web = how_to("toml", NAME).text.replace("[web]\n", '[web]\nlisten = "127.0.0.1:{http_port}"\n')
    with running(tmp_path_factory.mktemp("device"), web + MORE.replace("account_rate = 0.1\n", "")) as appliance:
        yield appliance


def add(device: RunningAppliance, *words: str) -> str:
    command = [str(PROGRAM), "auth", "add", *words, "--config", str(device.file)]
    return subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def token(device: RunningAppliance) -> str:
    add(device, "anna", "--role", "admin")
    said = add(device, "client", "--role", "operator", "--token")
    return next(word for word in said.split() if word.startswith("vis_"))


@pytest.fixture(scope="module", params=["haproxy", "caddy"])
def proxied(
    device: RunningAppliance, token: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Proxied]:
    with in_front(request.param, device, tmp_path_factory.mktemp("proxy")) as port:
        yield Proxied(device, port, token, request.param)


def test_the_cookie_is_secure_whatever_the_client_writes(proxied: Proxied) -> None:
    forged = {"X-Forwarded-Proto": "http"}
    answer = proxied.login("anna", PASSWORD, source="127.0.0.20", headers=forged)
    cookie = answer.headers["Set-Cookie"]
    assert answer.status == 200
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie


def test_wrong_passwords_count_for_each_clients_address_and_not_for_the_one_it_writes(proxied: Proxied) -> None:
    guesser = {"haproxy": "127.0.0.101", "caddy": "127.0.0.102"}[proxied.kind]  # a throttle outlasts a proxy
    codes = [
        proxied.login(f"nobody-{n}", "wrong", source=guesser, headers={"X-Forwarded-For": f"192.0.2.{n}"}).status
        for n in range(6)
    ]
    assert codes == [401] * 5 + [429]
    assert proxied.login("anna", PASSWORD, source="127.0.0.30").status == 200


def test_live_pictures_come_while_the_stream_lasts(proxied: Proxied) -> None:
    headers = {"Authorization": f"Bearer {proxied.token}"}
    answer = proxied.ask("GET", "/api/v1/cameras/door/stream.mjpeg", headers=headers)
    assert answer.status == 200
    pictures = 0
    while pictures < 3:
        line = answer.readline()
        assert line, "the stream has ended"
        pictures += line.lower().startswith(b"content-type: image/jpeg")
    answer.close()


def test_a_program_sends_pictures_over_a_websocket(proxied: Proxied) -> None:
    plain = socket.create_connection(("127.0.0.1", proxied.port), HANG_S)
    headers = {"Authorization": f"Bearer {proxied.token}"}
    url = f"wss://{NAME}/api/v1/detect/stream"
    with connect(url, sock=plain, ssl=unchecked(), additional_headers=headers) as stream:
        for _ in range(3):
            stream.send(PICTURE)
            assert json.loads(stream.recv(HANG_S))["device"] == "porch"


def test_a_host_that_is_none_of_the_devices_is_not_served(proxied: Proxied) -> None:
    asks = {"Authorization": f"Bearer {proxied.token}", "X-Forwarded-Host": "evil.example"}
    answer = proxied.ask("GET", "/api/v1/status", headers=asks)
    # Caddy writes this header itself.
    assert answer.status == {"haproxy": 421, "caddy": 200}[proxied.kind]


def test_a_person_logs_in_sees_live_pictures_and_tries_the_own_camera(proxied: Proxied) -> None:
    rule = f"--host-resolver-rules=MAP {NAME}:443 127.0.0.1:{proxied.port}"
    with chromium(*USUAL, rule) as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://{NAME}/")
        log_in(page, "anna", PASSWORD)
        page.wait_for_selector(".camera canvas")
        until_all_move(page, 1)
        sockets: list[str] = []
        page.on("websocket", lambda opened: sockets.append(opened.url))
        page.goto(f"https://{NAME}/try")
        page.evaluate(COUNT)
        start_camera(page)
        until(lambda: page.evaluate("counted.answered") > 1, lambda: page.inner_text("body"))
    assert sockets[-1].startswith(f"wss://{NAME}/api/v1/detect/stream")

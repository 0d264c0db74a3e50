# SPDX-License-Identifier: Apache-2.0
"""Two devices behind a real nginx, set up as containers/nginx.conf: nobody notices when one of them stops or dies."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.bombs import photo
from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import daemon_pid
from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.unit.command import visavis
from tests.waiting import HANG_S, until

PICTURE = photo(".jpg", width=320, height=240)
# The same credentials file; everything else is each device's own.
SETTINGS = """
[device]
id = "{device}"
[web]
listen = "127.0.0.1:{port}"
proxies = ["127.0.0.1"]
log_requests = "all"
[auth]
file = "{credentials}"
[mqtt]
url = ""
[detector]
backend = "fake"
input = [320, 240]
[gateway]
deadline_ms = 20000
streams = 256  # or a device refuses some before nginx does
grpc_listen = "127.0.0.1:{grpc_port}"
[[camera]]
id = "fed"
source = "push:"
"""
CLIENTS = 6
PICTURE_MOST = 16 * 2**20  # gateway.picture_mb
# What lasts: a picture that does not come to its end, and a WebSocket.
UNFINISHED = "POST /api/v1/detect HTTP/1.1\r\nContent-Length: 1000\r\nExpect: 100-continue"
STREAM = (
    "GET /api/v1/detect/stream HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dmlzYXZpcyBpcyBoZXJlIQ=="
)


class Pair:
    """Two devices, a token that both know, and nginx in front of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [free_port(), free_port()]
        self._grpc_ports = [free_port(), free_port()]
        self.http_port, self.grpc_port = free_port(), free_port()  # the balancer's
        for number in (1, 2):
            self._of(number).mkdir()
        self.config(1).write_text(self._settings(1))
        words = ("auth", "add", "client", "--role", "operator", "--token", "--no-camera", "--config")
        said = visavis(*words, self.config(1))
        assert said.returncode == 0, said.stderr
        self.token = next(word for word in said.stdout.split() if word.startswith("vis_"))
        self.gateways = {number: self.start(number) for number in (1, 2)}

    def start(self, number: int) -> RunningAppliance:
        """Start one device, at the port where nginx looks for it."""
        started = RunningAppliance(self._of(number), self._settings(number))
        started.http_port = self._ports[number - 1]
        started.wait_ready()
        return started

    @property
    def credentials(self) -> Path:
        """The file that both know."""
        return self._folder / "credentials.toml"

    def config(self, number: int) -> Path:
        return self._of(number) / "config.toml"

    def nginx(self, name: str = "nginx.conf", change: Callable[[str], str] = str, more: str = "") -> list[str]:
        """The command that serves the pair with one of containers/, changed, and more directives."""
        text = change((ROOT / "containers" / name).read_text()).replace("/tmp/", f"{self._folder}/")  # noqa: S108
        return nginx_command(self.placed(name, text), more)

    def placed(self, name: str, text: str) -> Path:
        """A file with a balancer's configuration, in which the ports are the pair's."""
        for inside, outside, ports in ((8080, self.http_port, self._ports), (8001, self.grpc_port, self._grpc_ports)):
            for number, port in enumerate(ports, 1):
                text = text.replace(f"gateway-{number}:{inside}", f"127.0.0.1:{port}")
            text = text.replace(f"listen {inside}", f"listen 127.0.0.1:{outside}")
            text = text.replace(f"bind :{inside}", f"bind 127.0.0.1:{outside}")
        file = self._folder / name
        file.write_text(text)
        return file

    def stream(self) -> ClientConnection:
        """A WebSocket of pictures through nginx."""
        url = f"ws://127.0.0.1:{self.http_port}/api/v1/detect/stream"
        return connect(url, additional_headers={"Authorization": f"Bearer {self.token}"})

    def _settings(self, number: int) -> str:
        port, grpc_port = self._ports[number - 1], self._grpc_ports[number - 1]
        device = f"gateway-{number}"
        return SETTINGS.format(device=device, port=port, grpc_port=grpc_port, credentials=self.credentials)

    def _of(self, number: int) -> Path:
        return self._folder / f"gateway-{number}"


def nginx_command(file: Path, more: str = "") -> list[str]:
    """What starts nginx with a configuration and more directives."""
    program = shutil.which("nginx") or str(ROOT / "build" / "balancer" / "usr" / "sbin" / "nginx")
    # Started by root its workers would be somebody else, who may not enter the folder.
    user = "user root;" if os.getuid() == 0 else ""
    return [program, "-e", "stderr", "-p", str(file.parent), "-c", str(file), "-g", f"daemon off; {user} {more}"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    with subprocess.Popen(made.nginx()) as nginx:
        try:
            until(lambda: post(made.http_port, made.token)[0] == 200, "nginx does not serve")
            yield made
        finally:
            nginx.terminate()
            for gateway in made.gateways.values():
                gateway.stop()


def post(port: int, token: str, source: str = "127.0.0.1") -> tuple[int, str]:
    """The status of one picture, and the device that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S, source_address=(source, 0))
    headers = {"Content-Type": "image/jpeg", "Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", "/api/v1/detect", PICTURE, headers)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body)["device"] if answer.status == 200 else body.decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


@contextmanager
def clients(pair: Pair) -> Iterator[Counter[tuple[int, str]]]:
    """Clients in closed loops while the block runs; yields what they have got so far."""
    over, lock = threading.Event(), threading.Lock()
    got: Counter[tuple[int, str]] = Counter()

    def run() -> None:
        while not over.is_set():
            one = post(pair.http_port, pair.token)
            with lock:
                got[one] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        loops = [pool.submit(run) for _ in range(CLIENTS)]
        try:
            yield got
        finally:
            over.set()
        for loop in loops:
            loop.result()


def until_both_answer(got: Counter[tuple[int, str]]) -> None:
    before = got.copy()
    names = [(200, f"gateway-{number}") for number in (1, 2)]
    until(lambda: all(got[name] > before[name] for name in names), lambda: f"not both answer: {got}")


def test_a_token_is_known_to_both_devices(pair: Pair) -> None:
    for number, gateway in pair.gateways.items():
        assert post(gateway.http_port, pair.token) == (200, f"gateway-{number}")


def test_no_request_fails_while_one_device_stops_comes_back_and_the_other_dies(pair: Pair) -> None:
    with clients(pair) as got:
        until_both_answer(got)
        assert pair.gateways[1].stop() == 0
        pair.gateways[1] = pair.start(1)
        until_both_answer(got)
        os.kill(daemon_pid(pair.gateways[2]), signal.SIGKILL)
        pair.gateways[2].process.wait(HANG_S)
        pair.gateways[2] = pair.start(2)
        until_both_answer(got)
    assert set(got) == {(200, "gateway-1"), (200, "gateway-2")}, got
    print(f"\n{got.total()} requests through nginx, one device stopped, one killed: 0 failed; {dict(got)}")


def test_a_stream_is_told_to_come_again_and_the_other_device_takes_it(pair: Pair) -> None:
    assert_a_stream_moves_on(pair)


def assert_a_stream_moves_on(pair: Pair) -> None:
    """It stays with one device until that stops."""
    with pair.stream() as socket:
        numbers = set()
        for _ in range(3):
            socket.send(PICTURE)
            numbers.add(int(json.loads(socket.recv(HANG_S))["device"][-1]))
        (number,) = numbers
        assert pair.gateways[number].stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(HANG_S)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1001
    with pair.stream() as again:
        again.send(PICTURE)
        assert json.loads(again.recv(HANG_S))["device"] == f"gateway-{3 - number}"
    pair.gateways[number] = pair.start(number)


def test_each_client_keeps_its_own_address(pair: Pair) -> None:
    assert post(pair.http_port, pair.token, source="127.0.0.9")[0] == 200

    until(partial(logged, pair, "client=127.0.0.9:0"), "the devices see nginx instead of its client")


def logged(pair: Pair, words: str) -> bool:
    """Whether one of the devices has said so."""
    return any(words in gateway.log.read_text() for gateway in pair.gateways.values())


def ask(pair: Pair, body: bytes, kind: str, **headers: str) -> tuple[int, str, dict[str, Any]]:
    """The status of one answer through nginx, its request's id and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", pair.http_port, timeout=HANG_S)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(
            "POST", "/api/v1/detect", body, {"Content-Type": kind, "Authorization": f"Bearer {pair.token}", **named}
        )
        answer = connection.getresponse()
        text = answer.read()
        assert (answer.getheader("Content-Type") or "").endswith("json"), text
        return answer.status, answer.getheader("X-Request-Id") or "", json.loads(text)
    finally:
        connection.close()


def test_nobody_takes_the_devices_from_others_with_the_name_of_a_protocol(pair: Pair) -> None:
    """PROXY is how a balancer begins that passes TCP on, and a method that anybody can write."""
    for port in (pair.http_port, *(gateway.http_port for gateway in pair.gateways.values())):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        connection.request("PROXY", "/healthz")
        assert connection.getresponse().status == 405
        connection.close()
        assert post(pair.http_port, pair.token)[0] == 200


def test_a_request_keeps_its_own_id_and_gets_one_if_it_has_none(pair: Pair) -> None:
    status, given, _ = ask(pair, PICTURE, "image/jpeg", X_Request_Id="shop:17")
    assert (status, given) == (200, "shop:17")
    status, made, _ = ask(pair, PICTURE, "image/jpeg")
    assert status == 200
    for request_id in ("shop:17", made):
        until(partial(logged, pair, f"request_id={request_id}"), f"no device has heard of {request_id}")


def test_what_is_too_large_for_a_device_is_refused_by_it(pair: Pair) -> None:
    largest = PICTURE + bytes(PICTURE_MOST - len(PICTURE))
    assert ask(pair, as_json(largest), "application/json")[0] == 200
    status, request_id, told = ask(pair, as_json(largest + bytes(2**14)), "application/json")
    assert (status, told["request_id"]) == (413, request_id)
    assert "gateway.picture_mb" in told["detail"]


def as_json(picture: bytes) -> bytes:
    """The body of a request that holds the picture as text."""
    return json.dumps({"image": base64.b64encode(picture).decode()}).encode()


@pytest.mark.parametrize(("asking", "most"), [(UNFINISHED, 40), (STREAM, 128)], ids=["pictures", "streams"])
def test_one_address_gets_its_share_of_nginx_and_no_more(pair: Pair, asking: str, most: int) -> None:
    with ExitStack() as held:
        for _ in range(most - 1):
            held.enter_context(lasting(pair, asking, "127.0.0.20"))
        assert post(pair.http_port, pair.token, "127.0.0.20")[0] == 200
        held.enter_context(lasting(pair, asking, "127.0.0.20"))
        assert post(pair.http_port, pair.token, "127.0.0.20")[0] == 429
        assert post(pair.http_port, pair.token, "127.0.0.21")[0] == 200
    until(lambda: post(pair.http_port, pair.token, "127.0.0.20")[0] == 200, "what has ended still counts")


def lasting(pair: Pair, asking: str, source: str) -> socket.socket:
    """A request that nginx has let in, as its first answer says, and that does not end."""
    one = socket.create_connection(("127.0.0.1", pair.http_port), HANG_S, (source, 0))
    one.sendall(f"{asking}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {pair.token}\r\n\r\n".encode())
    said = one.recv(12)
    assert said.startswith(b"HTTP/1.1 10"), said
    return one


def test_who_does_not_ask_is_cut_off(pair: Pair) -> None:
    with socket.create_connection(("127.0.0.1", pair.http_port), HANG_S) as silent:
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert silent.recv(1) == b""

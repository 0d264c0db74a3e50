# SPDX-License-Identifier: Apache-2.0
"""Two devices behind a real nginx that only passes TCP on, set up as containers/nginx-tcp.conf."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.attacks import Piece
from tests.chaos.grpc_attacks import ATTACKER, CONNECTIONS_MOST, Told, ask, call, idle_connections, opening
from tests.e2e.test_two_gateways import Pair, assert_a_stream_moves_on, logged, post
from tests.repo.test_laws import ROOT
from tests.unit.command import PROGRAM
from tests.waiting import HANG_S, until

MODULE = "usr/lib/nginx/modules/ngx_stream_module.so"
STICKY = "hash $remote_addr consistent;"
BOUND = "limit_conn clients 128;"
BOTH = {(200, "gateway-1"), (200, "gateway-2")}
PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    try:
        yield made
    finally:
        for gateway in made.gateways.values():
            gateway.stop()


@contextmanager
def balanced(pair: Pair, *, sticky: bool, bound: int = 128) -> Iterator[None]:
    """With each connection to the next device, or each address to one of them, and so many from one address."""
    folder = Path("/") if Path("/", MODULE).exists() else ROOT / "build" / "balancer-stream"

    def change(text: str) -> str:
        assert STICKY in text
        assert BOUND in text
        return text.replace(STICKY, STICKY if sticky else "").replace(BOUND, f"limit_conn clients {bound};")

    with subprocess.Popen(pair.nginx("nginx-tcp.conf", change, f"load_module {folder / MODULE};")) as nginx:
        try:
            until(lambda: post(pair.http_port, pair.token)[0] == 200, "nginx does not serve")
            yield
        finally:
            nginx.terminate()


@pytest.fixture
def in_turn(pair: Pair) -> Iterator[Pair]:
    with balanced(pair, sticky=False):
        yield pair


def test_a_token_works_whichever_device_a_connection_reaches(in_turn: Pair) -> None:
    assert {post(in_turn.http_port, in_turn.token) for _ in range(8)} == BOTH


def test_a_stream_stays_with_its_device_and_moves_on_when_that_stops(in_turn: Pair) -> None:
    assert_a_stream_moves_on(in_turn)


def test_each_client_keeps_its_own_address_over_http_and_grpc(in_turn: Pair) -> None:
    assert post(in_turn.http_port, in_turn.token, source="127.0.0.9")[0] == 200
    until(partial(logged, in_turn, "client=127.0.0.9:"), "the devices see nginx instead of its client")
    told = asyncio.run(ask(in_turn.grpc_port, iter([Piece(opening() + call(10))]), "127.0.0.10"))
    assert told.code == "UNAUTHENTICATED"
    until(partial(logged, in_turn, "client=127.0.0.10:"), "the devices see nginx instead of its client over gRPC")


@pytest.mark.parametrize(("bound", "let_in"), [(CONNECTIONS_MOST + 50, 64), (10, 10)])
def test_a_stranger_with_idle_connections_keeps_nobody_out(pair: Pair, bound: int, let_in: int) -> None:
    """A device lets in perAddressMost of overgrpc/server.go, whatever the balancer does; that no more than it says."""
    told: list[Told] = []

    def others() -> None:
        for number in range(20, 28):  # some of them come to the stranger's device
            told.append(asyncio.run(ask(pair.grpc_port, iter([Piece(opening() + call(10))]), f"127.0.0.{number}")))

    with balanced(pair, sticky=True, bound=bound):
        assert idle_connections(pair.grpc_port, CONNECTIONS_MOST + 44, others, ATTACKER) == let_in
    assert {one.code for one in told} == {"UNAUTHENTICATED"}


def test_a_request_of_the_balancers_address_without_the_protocol_is_answered(in_turn: Pair) -> None:
    for number, gateway in in_turn.gateways.items():
        assert post(gateway.http_port, in_turn.token) == (200, f"gateway-{number}")


def test_people_stay_logged_in_where_the_balancer_keeps_an_address_on_one_device(pair: Pair) -> None:
    words = [str(PROGRAM), "auth", "add", "anna", "--role", "viewer", "--no-camera", "--config", str(pair.config(1))]
    subprocess.run(words, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
    with balanced(pair, sticky=True):
        for number in range(20, 28):
            source = f"127.0.0.{number}"
            cookie = logged_in(pair, source)
            assert {status(pair, source, cookie) for _ in range(4)} == {200}, source
            assert len({post(pair.http_port, pair.token, source) for _ in range(4)}) == 1


def logged_in(pair: Pair, source: str) -> str:
    """The cookie of a login from an address."""
    connection = http.client.HTTPConnection("127.0.0.1", pair.http_port, HANG_S, (source, 0))
    body = json.dumps({"name": "anna", "password": PASSWORD})
    connection.request("POST", "/api/v1/login", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    return answer.headers["Set-Cookie"].partition(";")[0]


def status(pair: Pair, source: str, cookie: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", pair.http_port, HANG_S, (source, 0))
    connection.request("GET", "/api/v1/status", headers={"Cookie": cookie})
    code = connection.getresponse().status
    connection.close()
    return code

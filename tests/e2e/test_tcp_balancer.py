# SPDX-License-Identifier: Apache-2.0
"""Two devices behind a real balancer that only passes TCP on: nginx as in containers/, HAProxy as on its page."""

from __future__ import annotations

import asyncio
import csv
import http.client
import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.attacks import Piece
from tests.chaos.grpc_attacks import ATTACKER, CONNECTIONS_MOST, Told, ask, call, idle_connections, opening
from tests.e2e.balancers import haproxy, on_page
from tests.e2e.test_two_gateways import Pair, assert_a_stream_moves_on, logged, post
from tests.repo.test_laws import ROOT
from tests.unit.command import NOTHING, PROGRAM
from tests.waiting import HANG_S, until

MODULE = "usr/lib/nginx/modules/ngx_stream_module.so"
BALANCERS = ["nginx", "send-proxy", "send-proxy-v2"]  # the latter are how HAProxy says whose a connection is
BOTH = {(200, "gateway-1"), (200, "gateway-2")}
PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


class Balanced(NamedTuple):
    """Two devices, and one of BALANCERS to start in front of them."""

    pair: Pair
    kind: str

    @contextmanager
    def running(self, *, sticky: bool = True, bound: int = 128, checks: str = "check") -> Iterator[Pair]:
        """With each connection to the next device, or each address to one of them, and so many from one address."""
        with self._nginx(sticky, bound) if self.kind == "nginx" else self._haproxy(sticky, bound, checks):
            until(lambda: post(self.pair.http_port, self.pair.token)[0] == 200, f"{self.kind} does not serve")
            yield self.pair

    @contextmanager
    def _nginx(self, sticky: bool, bound: int) -> Iterator[None]:
        folder = Path("/") if Path("/", MODULE).exists() else ROOT / "build" / "balancer-stream"
        by_address, most = "hash $remote_addr consistent;", "limit_conn clients {};"

        def change(text: str) -> str:
            text = changed(text, by_address, by_address if sticky else "")
            return changed(text, most.format(128), most.format(bound))

        with subprocess.Popen(self.pair.nginx("nginx-tcp.conf", change, f"load_module {folder / MODULE};")) as nginx:
            try:
                yield
            finally:
                nginx.terminate()

    def _haproxy(self, sticky: bool, bound: int, checks: str) -> AbstractContextManager[None]:
        text = changed(
            on_page("scale.md", "haproxy"), "balance source", "balance source" if sticky else "balance roundrobin"
        )
        text = changed(text, "sc0_conn_cur gt 128", f"sc0_conn_cur gt {bound}")
        text = changed(text, " send-proxy check ", f" {self.kind} {checks} ")
        return haproxy(
            self.pair.placed("haproxy.cfg", changed(text, "global\n", f"global\n\tstats socket {self.socket}\n"))
        )

    @property
    def socket(self) -> Path:
        """Where HAProxy tells how it goes."""
        return self.pair.credentials.with_name("haproxy.socket")


def changed(text: str, what: str, into: str) -> str:
    assert what in text
    return text.replace(what, into)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = Pair(tmp_path_factory.mktemp("pair"))
    words = [str(PROGRAM), "auth", "add", "anna", "--role", "viewer", "--no-camera", "--config", str(made.config(1))]
    try:
        subprocess.run(words, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
        yield made
    finally:
        for gateway in made.gateways.values():
            gateway.stop()


@pytest.fixture(params=BALANCERS)
def balanced(pair: Pair, request: pytest.FixtureRequest) -> Balanced:
    return Balanced(pair, request.param)


@pytest.fixture
def in_turn(balanced: Balanced) -> Iterator[Pair]:
    with balanced.running(sticky=False) as pair:
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
def test_a_stranger_with_idle_connections_keeps_nobody_out(balanced: Balanced, bound: int, let_in: int) -> None:
    """A device lets in perAddressMost of overgrpc/server.go, whatever the balancer does; that no more than it says."""
    told: list[Told] = []
    pair = balanced.pair

    def others() -> None:
        for number in range(20, 28):  # some of them come to the stranger's device
            told.append(asyncio.run(ask(pair.grpc_port, iter([Piece(opening() + call(10))]), f"127.0.0.{number}")))

    with balanced.running(bound=bound):
        assert idle_connections(pair.grpc_port, CONNECTIONS_MOST + 44, others, ATTACKER) == let_in
    assert {one.code for one in told} == {"UNAUTHENTICATED"}


def test_a_request_of_the_balancers_address_without_the_protocol_is_answered(in_turn: Pair) -> None:
    for number, gateway in in_turn.gateways.items():
        assert post(gateway.http_port, in_turn.token) == (200, f"gateway-{number}")


def test_people_stay_logged_in_where_the_balancer_keeps_an_address_on_one_device(balanced: Balanced) -> None:
    with balanced.running() as pair:
        for number in range(20, 28):
            source = f"127.0.0.{number}"
            cookie = logged_in(pair, source)
            assert {status(pair, source, cookie) for _ in range(4)} == {200}, source
            assert len({post(pair.http_port, pair.token, source) for _ in range(4)}) == 1


def test_wrong_passwords_count_for_the_address_that_the_balancer_tells_whatever_the_client_writes(
    balanced: Balanced,
) -> None:
    guesser = f"127.0.0.{100 + BALANCERS.index(balanced.kind)}"  # a throttle lasts longer than a balancer
    with balanced.running() as pair:
        codes = [
            login(pair, guesser, f"nobody-{n}", "wrong", {"X-Forwarded-For": f"192.0.2.{n}"}).status for n in range(6)
        ]
        assert codes == [401] * 5 + [429]
        assert login(pair, "127.0.0.30", "anna", PASSWORD).status == 200


def test_the_clients_of_a_device_that_stops_go_to_the_other_one(balanced: Balanced) -> None:
    with balanced.running() as pair:
        code, name = post(pair.http_port, pair.token, "127.0.0.40")
        assert code == 200
        number = int(name[-1])
        assert pair.gateways[number].stop() == 0
        others = {post(pair.http_port, pair.token, "127.0.0.40") for _ in range(4)}
        pair.gateways[number] = pair.start(number)
    assert others == {(200, f"gateway-{3 - number}")}


@pytest.mark.parametrize("checks", ["check", "check no-check-send-proxy"])
@pytest.mark.parametrize("kind", BALANCERS[1:])
def test_checks_of_haproxy_are_answered_with_and_without_the_protocol(pair: Pair, kind: str, checks: str) -> None:
    balanced = Balanced(pair, kind)
    before = [gateway.log.read_text().count("level=WARN") for gateway in pair.gateways.values()]

    with balanced.running(checks=checks):
        told = until(lambda: told_by_checks(balanced.socket), "HAProxy checks nothing")
    assert told == {("gateway-1", "L7OK", "200"), ("gateway-2", "L7OK", "200")}
    assert [gateway.log.read_text().count("level=WARN") for gateway in pair.gateways.values()] == before


def told_by_checks(at: Path) -> set[tuple[str, str, str]]:
    """What HAProxy's checks of the page found at each device, once they are over."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(at))
        asking.sendall(b"show stat\n")
        lines = asking.makefile().read().removeprefix("# ").splitlines()
    servers = [one for one in csv.DictReader(lines) if one["pxname"] == "page"]
    found = {
        (one["svname"], one["check_status"], one["check_code"])
        for one in servers
        if one["svname"].startswith("gateway")
    }
    return found if all(status.startswith("L") for _, status, _ in found) else set()


def login(
    pair: Pair, source: str, name: str, password: str, headers: Mapping[str, str] = NOTHING
) -> http.client.HTTPResponse:
    """The answer to a login from an address."""
    connection = http.client.HTTPConnection("127.0.0.1", pair.http_port, HANG_S, (source, 0))
    body = json.dumps({"name": name, "password": password})
    connection.request("POST", "/api/v1/login", body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def logged_in(pair: Pair, source: str) -> str:
    """The cookie of a login from an address."""
    answer = login(pair, source, "anna", PASSWORD)
    assert answer.status == 200
    return answer.headers["Set-Cookie"].partition(";")[0]


def status(pair: Pair, source: str, cookie: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", pair.http_port, HANG_S, (source, 0))
    connection.request("GET", "/api/v1/status", headers={"Cookie": cookie})
    code = connection.getresponse().status
    connection.close()
    return code

# SPDX-License-Identifier: Apache-2.0
"""A name with several addresses of which one is dead, and resolvers that take their time."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from visavis.backends import kserve as kserve_backend
from visavis.openinference.endpoint import Deadline, ServerLost, ServerUnfit, endpoint
from visavis.openinference.names import Names
from visavis.openinference.over_http import Http

from tests.kserve.certificates import authority, signed_server
from tests.kserve.conftest import Asking
from tests.kserve.test_wires import UNHURRIED_MS, answering, saying
from tests.no_threads import no_threads
from tests.waiting import HANG_S

HOUR_MS = 3_600_000
SAID = json.dumps({"inputs": [], "outputs": []}).encode()
METADATA = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(SAID), SAID)
LIVING, DEAD = "127.0.0.1", "127.0.0.2"
# A server that is late by more than one of so many parts of a frame's time, and by far less than all of it.
NAMES, FRAME_MS, LATE_MS = 50, 20_000, 800


@contextmanager
def dropping(port: int) -> Iterator[None]:
    """At `DEAD` nothing answers, as behind a firewall that drops: the kernel does so where a queue is full."""
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((DEAD, port))
        listener.listen(0)
        for _ in range(4):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((DEAD, port))
        yield


def opened(where: Any) -> None:
    with closing(Http(where, ["a"])) as http:
        http.metadata(Deadline.after(UNHURRIED_MS / 4))


def test_an_address_that_drops_packets_hides_no_other_and_is_tried_last_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **named: [real(at, *rest, **named)[0] for at in (DEAD, LIVING)]
    )
    with saying(answering(METADATA)) as url:
        where = endpoint(url.replace(LIVING, "triton.example"), "m")
        with dropping(where.port):
            opened(where)
        with socket.create_server((DEAD, where.port)) as listener:
            opened(where)
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


UNAVAILABLE = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("then", [answering(UNAVAILABLE), lambda connection: connection.recv(1 << 20)])
def test_an_address_that_takes_connections_and_fails_is_tried_last(then: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, moods = socket.getaddrinfo, [answering(METADATA), then]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **named: [real(at, *rest, **named)[0] for at in (LIVING, DEAD)]
    )

    def moody(connection: socket.socket) -> None:
        moods.pop(0)(connection)

    with saying(moody) as url:
        where = endpoint(url.replace(LIVING, "triton.example"), "m")
        opened(where)
        with pytest.raises(ServerLost):
            opened(where)
        with saying(answering(METADATA), (DEAD, where.port)):
            opened(where)
            opened(where)
    assert not moods


def test_what_failed_is_tried_in_the_order_of_the_failures() -> None:
    names, (one, two, three) = Names(), [(number,) for number in range(3)]
    names.failed(one)
    names.failed(two)
    assert names.best_first([two, one, three]) == [three, one, two]
    names.answered(two)
    assert names.best_first([one, two, three]) == [two, three, one]


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority, and what a server speaks TLS with that it signed."""
    ours = authority(tmp_path, "ours")
    signed_server(tmp_path, ours)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return ours, context


def test_a_connection_that_is_opened_again_has_all_of_a_frames_time_for_the_address_that_answered(
    signed: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, context = signed
    real, waits_s = socket.getaddrinfo, [0.0, LATE_MS / 1_000]
    names = [LIVING, *(f"127.0.0.{number}" for number in range(2, NAMES + 1))]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **named: [real(name, *rest, **named)[0] for name in names]
    )

    def late(connection: socket.socket) -> None:
        time.sleep(waits_s.pop(0))
        with context.wrap_socket(connection, server_side=True) as secure:
            answering(METADATA)(secure)

    with saying(late) as url:
        http = Http(endpoint(url.replace("http", "https"), "m", ours), ["a"])
        for limit_ms in (HOUR_MS, FRAME_MS):
            http.metadata(Deadline.after(limit_ms))
            http.close()
    assert not waits_s


def test_a_name_is_asked_for_again_once_a_thread_is_free() -> None:
    with saying(answering(METADATA)) as url:
        where = endpoint(url, "m")
        refused = pytest.raises(ServerLost, match=r"cannot find 127\.0\.0\.1, no more threads .*: let this user")
        with no_threads(), refused:
            opened(where)
        opened(where)


class SlowResolver:
    """Answers when it is let, the first `unknown` questions at once: there is no such name."""

    def __init__(self, unknown: int = 0) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.answers = 0
        self._unknown = unknown

    def __call__(self, *_: Any, **__: Any) -> list[Any]:
        self._unknown -= 1
        if self._unknown >= 0:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        self.asked.set()
        self.may_answer.wait(HANG_S)
        self.answers += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (LIVING, 9))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[SlowResolver]:
    """In the system's place."""
    slow = SlowResolver(getattr(request, "param", 0))
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.may_answer.set()


def test_a_worker_is_ready_while_the_resolver_is_silent(
    resolver: SlowResolver, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve_backend, "OPEN_MS", 100)
    detector = asking("http://triton.example:8000", warm=False)
    detector.warm_up()
    assert (detector.name, detector.losses, resolver.answers) == ("onnxruntime", 1, 0)


@pytest.mark.parametrize("resolver", [1], indirect=True)
def test_a_worker_that_ends_does_not_wait_for_the_resolver(
    resolver: SlowResolver, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve_backend, "OPEN_MS", HOUR_MS)
    detector = asking("http://triton.example:8000", warm=False)
    detector.warm_up()
    assert resolver.asked.wait(HANG_S), "nobody seeks the server"
    detector.close()
    assert resolver.answers == 0


def test_what_the_resolver_says_too_late_is_there_for_the_next_opening(resolver: SlowResolver) -> None:
    names = Names()
    with pytest.raises(TimeoutError, match="nobody answers for names in time"):
        names.found("triton.example", 8_000, Deadline.after(50))
    resolver.may_answer.set()
    assert names.found("triton.example", 8_000, Deadline.after(HOUR_MS))[0][4] == (LIVING, 9)
    assert resolver.answers == 1


def test_a_server_that_refuses_leaves_no_thread_and_may_be_opened_again(asking: Asking) -> None:
    def seekers() -> int:
        return sum(thread.name == "seek-kserve" for thread in threading.enumerate())

    before = seekers()
    with saying(answering(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n")) as url:
        detector = asking(url, warm=False)
        for _ in range(2):
            with pytest.raises(ServerUnfit, match="refuses the request, 404"):
                detector.warm_up()
            assert seekers() == before
    for _ in range(2):
        detector.warm_up()
    assert (seekers(), detector.losses) == (before + 1, 1)

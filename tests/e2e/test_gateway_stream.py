# SPDX-License-Identifier: Apache-2.0
"""Pictures over a WebSocket: the newest wins, what was replaced is named, and nothing stays behind."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any
from urllib.error import HTTPError

import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from tests.e2e.clients import FAKE_WORKERS, PeakMemory, metrics, post, send_too_much
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import daemon_pid, schema
from tests.e2e.test_gateway import assert_pictures_add_up, photos
from tests.waiting import HANG_S, until

FAKE = (
    FAKE_WORKERS
    + """
[gateway]
deadline_ms = 20000
streams = 8
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 5
"""
)


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("streams"), FAKE) as started:
        yield started


def stream(appliance: RunningAppliance, **options: Any) -> ClientConnection:
    opened: ClientConnection = connect(
        f"ws://127.0.0.1:{appliance.http_port}/api/v1/detect/stream", max_size=None, **options
    )
    return opened


def answer_of(socket: Connection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(HANG_S))
    return found


def replaced(appliance: RunningAppliance) -> float:
    return metrics(appliance, "visavis_client_pictures_total")['outcome="replaced"']


def streams(appliance: RunningAppliance) -> float:
    return metrics(appliance, "visavis_client_streams")[""]


def invalid(appliance: RunningAppliance) -> float:
    return metrics(appliance, "visavis_client_pictures_total")['outcome="invalid"']


def test_each_picture_sent_after_an_answer_gets_its_own(appliance: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    expected = post(appliance, picture).json["faces"]
    with stream(appliance) as socket:
        for index in range(20):
            socket.send(picture)
            answer = answer_of(socket)
            jsonschema.validate(answer, schema("detected"))
            assert (answer["frame"], answer["dropped_frames"]) == (index, [])
            assert answer["faces"] == expected


def test_the_newest_picture_wins_and_every_index_is_accounted_for(appliance: RunningAppliance) -> None:
    picture, count, before = photos()[0].read_bytes(), 400, replaced(appliance)
    with stream(appliance) as socket:
        for _ in range(count):
            socket.send(picture)
        seen: list[int] = []
        answers = 0
        while not seen or seen[-1] != count - 1:
            answer = answer_of(socket)
            assert "problem" not in answer
            seen += [*answer["dropped_frames"], answer["frame"]]
            answers += 1
    assert seen == list(range(count))
    assert 1 < answers < count, "nothing was dropped: the test shows nothing"
    assert replaced(appliance) == before + count - answers
    assert_pictures_add_up(appliance)


def test_a_picture_that_is_none_is_told_and_the_stream_goes_on(appliance: RunningAppliance) -> None:
    with stream(appliance) as socket:
        socket.send(b"this is no picture")
        wrong = answer_of(socket)
        assert (wrong["frame"], wrong["problem"]["status"]) == (0, 422)
        jsonschema.validate(wrong["problem"], schema("problem"))
        socket.send(photos()[0].read_bytes())
        assert answer_of(socket)["frame"] == 1


def test_text_closes_the_stream_and_says_why(appliance: RunningAppliance) -> None:
    with stream(appliance) as socket:
        socket.send("text")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(HANG_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1003, "send each picture as one binary message")


def test_a_message_of_too_many_bytes_ends_the_stream_and_is_not_kept(appliance: RunningAppliance) -> None:
    # A client that sends for longer than a second after that is cut off, and may see no code.
    before = invalid(appliance)
    with (
        PeakMemory(daemon_pid(appliance)) as memory,
        stream(appliance) as socket,
        pytest.raises(ConnectionClosed) as closed,
    ):
        send_too_much(socket)
    assert memory.extra < 32 * 2**20
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert "gateway.picture_mb" in closed.value.rcvd.reason
    assert invalid(appliance) == before + 1
    assert_pictures_add_up(appliance)


def test_other_sites_plain_requests_and_too_many_streams_are_refused(appliance: RunningAppliance) -> None:
    until(lambda: streams(appliance) == 0, "streams of other tests stay open")
    with pytest.raises(InvalidStatus) as foreign, stream(appliance, origin="http://evil.example"):
        pass
    assert foreign.value.response.status_code == 403
    assert plainly(appliance) == 426
    with contextlib.ExitStack() as open_ones:
        for _ in range(8):
            open_ones.enter_context(stream(appliance))
        with pytest.raises(InvalidStatus) as ninth:
            open_ones.enter_context(stream(appliance))
        assert ninth.value.response.status_code == 429
        assert ninth.value.response.headers["Retry-After"] == "1"
        assert plainly(appliance) == 429, "a page learns in no other way why it gets no stream"
    until(lambda: streams(appliance) == 0, "streams stay open")
    with stream(appliance):
        pass


def plainly(appliance: RunningAppliance) -> int:
    """What a request for the stream that opens no WebSocket is told."""
    with pytest.raises(HTTPError) as refused:
        appliance.get("/api/v1/detect/stream")
    return refused.value.code


def test_two_hundred_streams_leave_no_goroutine_and_no_descriptor(appliance: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    pid = daemon_pid(appliance)

    def open_files() -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def goroutines() -> float:
        return metrics(appliance, "go_goroutines")[""]

    until(lambda: streams(appliance) == 0, "streams of other tests stay open")
    for _ in range(3):
        appliance.get("/metrics")
    files, routines = open_files(), goroutines()
    for number in range(200):
        with stream(appliance) as socket:
            for _ in range(1 + number % 3):
                socket.send(picture)
            if number % 2:
                answer_of(socket)
            if number % 5 == 0:
                socket.socket.shutdown(SHUT_RDWR)  # without a word
    until(lambda: streams(appliance) == 0, "streams stay open")
    until(lambda: open_files() <= files + 2, lambda: f"{files} files, now {open_files()}")
    until(lambda: goroutines() <= routines + 2, lambda: f"{routines} goroutines, now {goroutines()}")
    assert_pictures_add_up(appliance)


def test_a_client_that_sends_and_never_reads_is_slowed_down_and_others_are_served(appliance: RunningAppliance) -> None:
    picture = photos()[0].read_bytes()
    with stream(appliance) as deaf:
        deaf.socket.settimeout(0.5)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 3:
                deaf.send(picture)
        except (TimeoutError, ConnectionClosed, OSError):
            pass
        assert post(appliance, picture).status == 200
        deaf.socket.close()
    until(lambda: streams(appliance) == 0, "the stream stays open")

# SPDX-License-Identifier: Apache-2.0
"""The recent events of an appliance as its API tells them: page by page, and as a stream."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.conftest import RunningAppliance

EVENTS = "/api/v1/events"
OPEN_MOST_S = 300.0


def pages(appliance: RunningAppliance, query: str = "since=0&limit=7") -> list[dict[str, Any]]:
    """All events from a query on, by the links from page to page."""
    found: list[dict[str, Any]] = []
    link, more = f"{EVENTS}?{query}", True
    while more:
        page = json.loads(appliance.get(link))
        found += page["events"]
        link, more = page["next"], page["more"]
    return found


class Stream:
    """The ids and the events that came so far."""

    def __init__(self) -> None:
        self.place = ""  # where it is; at first where it begins
        self.ids: list[str] = []
        self.events: list[dict[str, Any]] = []

    def read(self, answer: Iterable[bytes]) -> None:
        """Take everything until the connection ends, however it does."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            for line in answer:
                self.take(line.decode())

    def take(self, line: str) -> None:
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "id":
            self.place = value
        elif name == "data":
            self.ids.append(self.place)
            self.events.append(json.loads(value))


@contextmanager
def streamed(appliance: RunningAppliance, last_id: str = "") -> Iterator[Stream]:
    """Follow the events as a browser does, from behind `last_id` or from now on, while the block runs."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    connection = http.client.HTTPConnection("127.0.0.1", appliance.http_port, timeout=OPEN_MOST_S)
    connection.request("GET", EVENTS, headers=headers)
    line = connection.sock
    answer = connection.getresponse()
    assert answer.readline() == b"retry: 2000\n"
    stream = Stream()
    reader = threading.Thread(target=lambda: stream.read(answer))
    reader.start()
    try:
        yield stream
    finally:
        line.shutdown(socket.SHUT_RDWR)  # wakes the reader, whatever the daemon does
        reader.join()
        connection.close()

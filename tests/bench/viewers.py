# SPDX-License-Identifier: Apache-2.0
"""Fifty viewers of one camera's live picture: the frame rate of each."""

from __future__ import annotations

import selectors
import socket
import time

from tests.bench.box import Box
from tests.bench.child import Child
from tests.bench.page import Bar, Section

VIEWERS, SECONDS, LEAST_FPS = 50, 12.0, 29.5
BOUNDARY = b"\r\n--visavis\r\n"
CHUNK = 1 << 18
CONNECT_S = 1.0


def measure() -> Section:
    """The bar: the frame rate of the worst viewer, beside that of the detector, which is the most there is to see."""
    with Box(backend="fake") as box, Child(watch, box.http_port, box.cameras[0], VIEWERS, SECONDS) as watching:
        before, begin_s = box.inferred(), time.monotonic()
        rates: list[float] = watching.answer(60 + SECONDS)
        inferred_fps = (box.inferred() - before) / (time.monotonic() - begin_s)
    bar = Bar(f"{VIEWERS} viewers of a 30 fps camera, the slowest", min(rates), LEAST_FPS, "fps", most=False)
    words = [
        f"The slowest of {VIEWERS} viewers saw {min(rates):.1f} pictures a second, the fastest {max(rates):.1f};",
        f"the detector (fake, 5 ms) looked at {inferred_fps:.1f}.",
    ]
    return Section("Viewers", words, [bar])


def watch(port: int, camera: str, viewers: int, seconds: float) -> list[float]:
    """Runs in one process of its own: open all streams, then count the pictures that end in each, per second."""
    selector = selectors.DefaultSelector()
    streams = [Stream(port, camera) for _ in range(viewers)]
    for stream in streams:
        selector.register(stream.connection, selectors.EVENT_READ, stream)
    read_for(selector, CONNECT_S)  # not counted: a stream begins with the newest picture at once
    for stream in streams:
        stream.pictures = 0
    read_for(selector, seconds)
    for stream in streams:
        stream.connection.close()
    return [stream.pictures / seconds for stream in streams]


def read_for(selector: selectors.BaseSelector, seconds: float) -> None:
    """Read whatever comes on any stream for some time."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        for key, _ in selector.select(left_s):
            key.data.read()


class Stream:
    """One open live picture and how many pictures have ended in it."""

    def __init__(self, port: int, camera: str) -> None:
        self.pictures = 0
        self._tail = b""
        self.connection = socket.create_connection(("127.0.0.1", port))
        route = f"/api/v1/cameras/{camera}/stream.mjpeg"
        self.connection.sendall(f"GET {route} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())

    def read(self) -> None:
        """Take what has come.

        Raises:
            ConnectionError: the stream has ended.
        """
        data = self.connection.recv(CHUNK)
        if not data:
            raise ConnectionError("the daemon ended a stream")
        whole = self._tail + data
        self.pictures += whole.count(BOUNDARY)
        self._tail = whole[-(len(BOUNDARY) - 1) :]

# SPDX-License-Identifier: Apache-2.0
"""Connections that get no answer, as over a line that loses packets, in a real Chromium: it makes one at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.clients import FAKE_WORKERS
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_page import CAMERA, GLANCE, LOOK, chromium, complaints_of, until_it_moves
from tests.e2e.test_try import FAST_CLOCK
from tests.unit.face_pictures import gocv_paths
from tests.waiting import until

GIVEN_UP = "WebSocket is closed before the connection is established"


class Lossy:
    """Passes connections on to a device, but swallows the first one that asks for a WebSocket at this address."""

    def __init__(self, device_port: int, address: str) -> None:
        self.device_port, self.address, self.swallowed = device_port, address.encode(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open: list[socket.socket] = [self.listener]

    def serve(self, pool: ThreadPoolExecutor) -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                client, _ = self.listener.accept()
                self.open.append(client)
                pool.submit(self.take, client, pool)

    def take(self, client: socket.socket, pool: ThreadPoolExecutor) -> None:
        head = client.recv(65536)
        if b"Upgrade: websocket" in head and self.address in head and not self.swallowed:
            self.swallowed = True
            return
        device = socket.create_connection(("127.0.0.1", self.device_port))
        self.open.append(device)
        device.sendall(head)
        pool.submit(pump, client, device)
        pump(device, client)

    def close(self) -> None:
        for one in self.open:
            with suppress(OSError):  # the other side may have ended it
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # one of them is closed
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def lossy(device: RunningAppliance, address: str) -> Iterator[Lossy]:
    line = Lossy(device.http_port, address)
    with ThreadPoolExecutor(64) as pool:
        pool.submit(line.serve, pool)
        try:
            yield line
        finally:
            line.close()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """Two cameras, and before them one that is away."""
    cameras = CAMERA.replace("{n}", "1") + CAMERA.replace("{n}", "2")
    gone = '[[camera]]\nid = "gone"\nsource = "v4l2:/dev/video99"\n'
    with running(tmp_path_factory.mktemp("device"), FAKE_WORKERS + gone + cameras) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def until_both_move(page: Page) -> None:
    for camera in ("demo1", "demo2"):
        canvas = page.locator(f"section[aria-label='Camera {camera}'] canvas")
        until_it_moves(canvas, canvas.evaluate(LOOK))


@pytest.mark.parametrize("camera", ["demo1", "gone"])
def test_a_connection_that_gets_no_answer_does_not_hold_up_those_of_other_cameras(
    device: RunningAppliance, browser: Browser, camera: str
) -> None:
    page = browser.new_page()
    complaints = complaints_of(page, GIVEN_UP)
    with lossy(device, f"/cameras/{camera}/live") as line:
        page.goto(f"http://127.0.0.1:{line.port}/")
        until(lambda: line.swallowed, "no connection is asked for")
        until_both_move(page)
        page.close()
    assert complaints == []


def test_one_that_was_not_wanted_for_long_does_not_hold_up_later_ones(
    device: RunningAppliance, browser: Browser
) -> None:
    page = browser.new_page()
    with lossy(device, "/cameras/demo1/live") as line:
        page.goto(f"http://127.0.0.1:{line.port}/")
        until(lambda: line.swallowed, "no connection is asked for")
        page.evaluate(GLANCE)
        until_both_move(page)
        page.close()


def test_a_picture_is_answered_after_a_connection_that_got_no_answer(
    device: RunningAppliance, browser: Browser
) -> None:
    page = browser.new_page()
    page.add_init_script(FAST_CLOCK)
    with lossy(device, "/detect/stream") as line:
        page.goto(f"http://127.0.0.1:{line.port}/try")
        page.set_input_files("#file", gocv_paths()[0])
        until(lambda: line.swallowed, "no connection is asked for")
        until(lambda: page.evaluate("drawn.dataset.boxes"), lambda: page.inner_text("body"))
        page.close()

# SPDX-License-Identifier: Apache-2.0
"""`visavis serve`: pictures of clients without a camera, for this machine, and for phones of the network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.brokers import is_open
from tests.e2e.conftest import READY_LIMIT_S
from tests.e2e.test_page import chromium, complaints_of
from tests.e2e.test_try import film_of_a_face, start_camera, until_a_face_is_drawn, with_film
from tests.ports import free_port
from tests.unit.command import PROGRAM
from tests.waiting import HANG_S, until

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


class Served:
    """A `visavis serve` of the device "box" on a free port, with what it said."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.port = port
        self.log = folder / "serve.log"
        environment = {
            **os.environ,
            "VISAVIS_HTTP_PORT": str(self.port),
            "VISAVIS_DEVICE__ID": "box",
            "TMPDIR": str(folder),
        }
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", *options], env=environment, stdout=out, stderr=subprocess.STDOUT
            )

    def said(self, pattern: str) -> str:
        """Wait for a line that it says; the first group."""
        found = until(lambda: re.search(pattern, self.log.read_text()), self.log.read_text, READY_LIMIT_S)
        return str(found[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(HANG_S)


@contextmanager
def served(folder: Path, *options: str, port: int | None = None) -> Iterator[Served]:
    started = Served(folder, port or free_port(), *options)
    try:
        yield started
    finally:
        ended = started.stop()
    assert ended == 0, started.log.read_text()


def test_without_options_it_serves_this_machine_and_has_no_camera(tmp_path: Path) -> None:
    with served(tmp_path) as device:
        address = device.said(r"try +(\S+)try\n")
        assert address == f"http://127.0.0.1:{device.port}/"
        until(lambda: answers(f"{address}readyz"), device.log.read_text, READY_LIMIT_S)
        assert json.loads(ask(f"{address}api/v1/cameras")) == {"cameras": []}
        device.said(r"(clients +answered 0, refused 0, 0 streams open)")
    assert "detections" not in device.log.read_text()


def test_the_page_without_a_camera_leads_to_the_one_that_takes_pictures(tmp_path: Path) -> None:
    with served(tmp_path) as device, chromium() as browser:
        address = device.said(r"try +(\S+)try\n")
        until(lambda: answers(f"{address}readyz"), device.log.read_text, READY_LIMIT_S)
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("link", name="send one").wait_for()
        assert page.locator(".problem").count() == 0, "it is meant to have no camera"
        page.get_by_role("link", name="send one").click()
        page.get_by_role("button", name="Choose a picture").wait_for()


def ask(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=HANG_S) as answer:  # noqa: S310 - it begins with http
        return bytes(answer.read())


def answers(address: str) -> bool:
    try:
        return bool(ask(address))
    except OSError:
        return False


def test_a_phone_claims_the_device_its_camera_works_and_a_restart_logs_nobody_out(tmp_path: Path) -> None:
    film = tmp_path / "face.y4m"
    film_of_a_face(film)
    with chromium(*with_film(film)) as browser:
        page = browser.new_page(viewport={"width": 360, "height": 740}, ignore_https_errors=True)
        complaints = complaints_of(page, "status of 401")
        with served(tmp_path, "--lan") as device:
            assert device.said(r"phones +(https://[\w.-]+:\d+/try)").endswith(f":{device.port}/try")
            until(lambda: is_open(device.port), device.log.read_text, READY_LIMIT_S)
            claim(page, f"https://box.local:{device.port}", device.said(r"open /claim .* code=(\S+)"))
            page.goto(f"https://box.local:{device.port}/try")
            start_camera(page)
            until_a_face_is_drawn(page)
            assert complaints == []
            page.goto("about:blank")
        assert PASSWORD not in device.log.read_text()
        with served(tmp_path, "--lan", port=device.port) as device:
            until(lambda: is_open(device.port), device.log.read_text, READY_LIMIT_S)
            page.goto(f"https://box.local:{device.port}/try")
            page.locator("#leave").wait_for()
            assert page.inner_text("#who") == "owner"


def claim(page: Page, address: str, code: str) -> None:
    page.goto(f"{address}/try")
    page.wait_for_url("**/claim")
    page.get_by_label("Code").fill(code)
    page.get_by_label("Your name").fill("owner")
    page.get_by_label("A new password").fill(PASSWORD)
    page.get_by_role("button", name="Become its administrator").click()
    page.wait_for_url(f"{address}/")

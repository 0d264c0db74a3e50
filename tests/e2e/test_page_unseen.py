# SPDX-License-Identifier: Apache-2.0
"""What the page says of cameras at which nobody looks, in a real Chromium on the real appliance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import without_a_worker
from tests.e2e.test_page import CAMERA, NO_BROKER, chromium, complaints_of, opened, until_all_move
from tests.waiting import until


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_card_tells_no_faces_while_no_worker_looks_for_them(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(NO_BROKER + CAMERA.replace("{n}", "1"), "--backend", "fake")
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 800, 600)
    until_all_move(page, 1)
    card = page.locator("section.camera")
    until(lambda: "live" in card.inner_text(), card.inner_text)
    with without_a_worker(appliance):
        page.get_by_text("No worker is connected").wait_for()
        words = card.locator(".title").inner_text().split("\n")
        figures = [card.locator(f".figures .{name} dd").inner_text() for name in ("faces", "total")]
    assert "not detecting" in words
    assert not {"live", "empty", "occupied"} & set(words), "who does not look cannot say that nobody is there"
    assert figures == ["–now", "–ms"]
    until(lambda: "live" in card.inner_text(), card.inner_text)
    assert complaints == []


def test_a_device_without_a_camera_says_how_it_gets_one(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance("camera = []\n" + NO_BROKER, "--backend", "fake")
    appliance.wait_ready()
    page = browser.new_page()
    complaints = complaints_of(page)
    page.goto(f"http://127.0.0.1:{appliance.http_port}/")
    page.get_by_text("No camera is configured").wait_for()
    assert not page.is_visible("#given")
    assert complaints == []

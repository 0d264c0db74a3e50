# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium, on the real appliance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_appliance import DEMO
from tests.waiting import until

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is missing: `make setup-test`, or apt install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


def opened(browser: Browser, appliance: RunningAppliance, width: int, height: int) -> tuple[Page, list[str]]:
    """The page at a size, and what its console complains about."""
    page = browser.new_page(viewport={"width": width, "height": height})
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{appliance.http_port}/", wait_until="domcontentloaded")
    page.wait_for_selector(".camera img", timeout=15_000)
    return page, complaints


def test_the_page_shows_a_moving_picture_and_living_figures(
    start_appliance: Callable[..., RunningAppliance], browser: Browser
) -> None:
    appliance = start_appliance(DEMO)
    appliance.wait_ready()
    page, complaints = opened(browser, appliance, 1280, 800)
    until(lambda: page.evaluate("document.querySelector('.camera img').naturalWidth > 0"), "no picture came", 15)
    first = page.locator(".camera img").first.screenshot()
    until(lambda: page.locator(".camera img").first.screenshot() != first, "the picture stands still", 15)
    until(lambda: "demo" in page.inner_text("body"), "the camera is not named", 10)
    words = page.inner_text("body")
    until(lambda: page.inner_text("body") != words, "the figures stand still", 15)
    until(lambda: appliance.camera("demo")["faces"] > 0, "the demo shows nobody", 30)
    keep_picture(page, "page.png")
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "a phone must scroll sideways"
    keep_picture(page, "phone.png")
    assert complaints == []


def keep_picture(page: Page, name: str) -> None:
    """Save what the page shows when VISAVIS_PICTURES names a folder: so the README's picture is made."""
    folder = os.environ.get("VISAVIS_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / name)

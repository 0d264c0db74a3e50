# SPDX-License-Identifier: Apache-2.0
"""What the page costs with one camera and with nine: `python -m tests.bench.wall`, for docs/design/web.md.

The worker is the fake one, so that every camera is inferred at its full rate and pictures are what costs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, sync_playwright

from tests.bench.process_figures import cpu_s
from tests.bench.tree import command_of, known, tree_of
from tests.e2e.conftest import RunningAppliance
from tests.e2e.test_page import QUIET

HEAD = '[device]\nid = "box"\n[web]\nlisten = "127.0.0.1:{http_port}"\n[mqtt]\nurl = ""\n'
CAMERA = '[[camera]]\nid = "demo{n}"\nsource = "demo:"\nsize = [640, 480]\nfps = 15\n'
COLUMNS = "| cameras | page | daemon, % of a core | browser, % of a core | inferred/s, each | shown/s, least and most |"
SECONDS = 10.0
SETTLE_S = 4.0


def main() -> None:
    """Print a table: processor time in percent of one core, pictures a second of the best and worst camera."""
    print(COLUMNS, "|---|---|---|---|---|---|", sep="\n")
    program = shutil.which("chromium")
    with sync_playwright() as playwright:
        for count in (1, 9):
            browser = playwright.chromium.launch(executable_path=program, args=QUIET)
            print(measured(browser, count, None), measured(browser, count, (1920, 1080)), sep="\n", flush=True)
            browser.close()


def measured(browser: Browser, count: int, size: tuple[int, int] | None) -> str:
    """One row; without `size` nobody looks."""
    with tempfile.TemporaryDirectory() as folder:
        text = HEAD + "".join(CAMERA.replace("{n}", str(n)) for n in range(count))
        appliance = RunningAppliance(Path(folder), text, "--backend", "fake")
        try:
            appliance.wait_ready()
            page = browser.new_page(viewport={"width": size[0], "height": size[1]}) if size else None
            if page:
                page.goto(f"http://127.0.0.1:{appliance.http_port}/", wait_until="domcontentloaded")
            time.sleep(SETTLE_S)
            row = figures(appliance, count, "1920x1080" if size else "none")
            if page:
                page.close()
        finally:
            appliance.stop()
    return row


class Instant(msgspec.Struct):
    """What had been spent and done at one time."""

    at_s: float
    daemon_s: float
    browser_s: float
    sent: list[int]
    inferred: int

    @classmethod
    def now(cls, appliance: RunningAppliance) -> Instant:
        """Read everything at once."""
        cameras = appliance.status()["cameras"]
        return cls(
            at_s=time.monotonic(),
            daemon_s=spent_s("visavis-capture", appliance.process.pid),
            browser_s=spent_s("chrom", os.getpid()),
            sent=[camera["viewers"]["sent"] for camera in cameras],
            inferred=sum(camera["frames"]["inferred"] for camera in cameras),
        )


def figures(appliance: RunningAppliance, count: int, shown: str) -> str:
    """Watch for SECONDS."""
    before = Instant.now(appliance)
    time.sleep(SECONDS)
    after = Instant.now(appliance)
    took_s = after.at_s - before.at_s
    daemon = 100 * (after.daemon_s - before.daemon_s) / took_s
    browser = 100 * (after.browser_s - before.browser_s) / took_s
    rates = [(late - early) / took_s for early, late in zip(before.sent, after.sent, strict=True)]
    inferred = (after.inferred - before.inferred) / took_s / count
    return f"| {count} | {shown} | {daemon:.0f} | {browser:.0f} | {inferred:.1f} | {min(rates):.1f}, {max(rates):.1f} |"


def spent_s(word: str, root: int) -> float:
    """Processor time, so far, of the processes of a tree whose command line has the word."""
    return sum(known(cpu_s, pid) for pid in tree_of([root]) if word in command_of(pid))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Whether memory stays flat: anonymous memory of daemon and worker over 100,000 frames at full speed.

A whole appliance with a broker and eight cameras; the fake detector takes no time, so that what surrounds inference
does in two minutes what it does in an hour at 30 fps. Memory is looked at a few times a second, since Go's heap
breathes. Judged is the slope (slope.py): what leaks, leaks with every frame. Whenever more pictures are in use at once
than before, since the machine was busy for a moment, a camera's pool makes another one of 0.9 MB and gives it back
after 1024 pictures (internal/frame/pool.go): the two ends may differ by that. The page tells the whole rise
too. Not counted are the first frames: for some ten seconds what is kept of the last seconds fills, and the allocators
of both languages find their size.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.box import Box
from tests.bench.page import Bar, Section
from tests.bench.process_figures import anonymous_mb
from tests.bench.slope import Look, slope

CAMERAS, FPS = 8, 200
WARM_UP, FRAMES, PERIOD_S, LIMIT_S = 30_000, 100_000, 0.25, 600.0
MOST_MB = 1.0


def measure() -> Section:
    """A bar for each process."""
    with Box(CAMERAS, backend="fake", fps=FPS, command=without_delay) as box:
        daemon, worker = looks(box)
    frames = daemon[-1][0] - daemon[0][0]
    lines = [
        f"{frames:,.0f} frames of {CAMERAS} cameras, one worker whose detector takes no time, {len(daemon)} looks at",
        "anonymous memory.",
        f"The bar is for the slope, the median over pairs of looks, for {FRAMES:,} frames: a step that comes once is",
        "no leak, and shows in the whole rise (first look → last; least to most).",
        "",
        f"Daemon: slope {growth(daemon):.2f} MB, whole rise {rise(daemon)}.",
        f"Worker: slope {growth(worker):.2f} MB, whole rise {rise(worker)}.",
    ]
    return Section(f"Memory over {FRAMES:,} frames", lines, [bar("the daemon", daemon), bar("a worker", worker)])


def without_delay(words: list[str], _folder: Path) -> list[str]:
    """The worker's command with a detector that takes no time."""
    return [*words, "--fake-service-ms", "0"]


def looks(box: Box) -> tuple[list[Look], list[Look]]:
    """Look at the daemon's and the worker's memory, MB, until FRAMES are inferred after WARM_UP.

    Raises:
        TimeoutError: that took too long.
    """
    daemon: list[Look] = []
    worker: list[Look] = []
    (worker_pid,) = box.workers()
    end_s = time.monotonic() + LIMIT_S
    while not daemon or daemon[-1][0] - daemon[0][0] < FRAMES:
        time.sleep(PERIOD_S)
        inferred = box.inferred()
        if inferred >= WARM_UP:
            daemon.append((inferred, anonymous_mb(box.daemon.pid)))
            worker.append((inferred, anonymous_mb(worker_pid)))
        if time.monotonic() > end_s:
            raise TimeoutError(f"{inferred} frames were inferred within {LIMIT_S:.0f} s")
    return daemon, worker


def bar(whose: str, found: list[Look]) -> Bar:
    """The bar of one process."""
    return Bar(f"anonymous memory of {whose}, growth over {FRAMES:,} frames", growth(found), MOST_MB, "MB")


def growth(found: list[Look]) -> float:
    """The slope over FRAMES."""
    return FRAMES * slope(found)


def rise(found: list[Look]) -> str:
    """How much more at the end than at the beginning, and the range."""
    values = [mb for _, mb in found]
    first, last = values[0], values[-1]
    return f"{last - first:.2f} MB: {first:.2f} → {last:.2f} ({min(values):.2f} to {max(values):.2f})"

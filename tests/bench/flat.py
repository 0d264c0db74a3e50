# SPDX-License-Identifier: Apache-2.0
"""Whether memory stays flat: anonymous memory of daemon and worker over 100,000 frames at full speed.

A whole appliance with a broker and eight cameras; the fake detector takes no time, so that what surrounds inference
does in two minutes what it does in an hour at 30 fps. Memory is looked at a few times a second, since Go's heap
breathes: the figure is the median of the last fifth less the median of the first. Not counted are the first frames:
for some ten seconds what is kept of the last seconds fills, and the allocators of both languages find their size.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.bench.box import Box
from tests.bench.page import Bar, Section
from tests.bench.process_figures import anonymous_mb

CAMERAS, FPS = 8, 200
WARM_UP, FRAMES, PERIOD_S, LIMIT_S = 30_000, 100_000, 0.25, 600.0
MOST_MB = 1.0

Sample = tuple[int, float, float]  # frames inferred so far, MB of the daemon, MB of the worker


def measure() -> Section:
    """A bar for each process."""
    with Box(CAMERAS, backend="fake", fps=FPS, command=without_delay) as box:
        samples = sampled(box)
    first, last = samples[0], samples[-1]
    daemon, worker = ([sample[place] for sample in samples] for place in (1, 2))
    lines = [
        f"{last[0] - first[0]:,} frames of {CAMERAS} cameras, one worker whose detector takes no time, anonymous MB:",
        f"daemon {edges(daemon)}, worker {edges(worker)} (median of the first fifth → of the last; least to most).",
    ]
    bars = [
        Bar("anonymous memory of the daemon, growth over 100,000 frames", growth(daemon), MOST_MB, "MB"),
        Bar("anonymous memory of a worker, growth over 100,000 frames", growth(worker), MOST_MB, "MB"),
    ]
    return Section("Memory over 100,000 frames", lines, bars)


def without_delay(words: list[str], _folder: Path) -> list[str]:
    """The worker's command with a detector that takes no time."""
    return [*words, "--fake-service-ms", "0"]


def sampled(box: Box) -> list[Sample]:
    """Look at the memory until FRAMES are inferred after WARM_UP.

    Raises:
        TimeoutError: that took too long.
    """
    samples: list[Sample] = []
    (worker,) = box.workers()
    end_s = time.monotonic() + LIMIT_S
    while not samples or samples[-1][0] - samples[0][0] < FRAMES:
        time.sleep(PERIOD_S)
        inferred = box.inferred()
        if inferred >= WARM_UP:
            samples.append((inferred, anonymous_mb(box.daemon.pid), anonymous_mb(worker)))
        if time.monotonic() > end_s:
            raise TimeoutError(f"{inferred} frames were inferred within {LIMIT_S:.0f} s")
    return samples


def fifths(values: list[float]) -> tuple[float, float]:
    """The medians of the first and of the last fifth."""
    size = max(1, len(values) // 5)
    return statistics.median(values[:size]), statistics.median(values[-size:])


def growth(values: list[float]) -> float:
    """How much more at the end."""
    first, last = fifths(values)
    return last - first


def edges(values: list[float]) -> str:
    """Both medians and the range."""
    first, last = fifths(values)
    return f"{first:.2f} → {last:.2f} ({min(values):.2f} to {max(values):.2f})"

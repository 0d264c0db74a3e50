# SPDX-License-Identifier: Apache-2.0
"""What each added camera, viewer and worker costs: processor time, anonymous memory, latency.

All with the fake detector at 5 ms, so that the figures are those of what is around inference. Cameras and viewers get
30 pictures a second; workers are given more frames than they can take, so that their throughput shows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.box import Box
from tests.bench.child import Child
from tests.bench.page import Bar, Section, table
from tests.bench.percentiles import p50_p99
from tests.bench.plot import Plot, svg
from tests.bench.process_figures import anonymous_mb, cpu_s
from tests.bench.subscriber import arrivals
from tests.bench.viewers import watch

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "growth.svg"
CAMERAS, VIEWERS, WORKERS = (1, 2, 4, 8), (1, 10, 50, 200), (1, 2, 4)
SECONDS, SETTLE_S, LIMIT_S = 7.0, 1.5, 60.0
CAMERA_SHARE, VIEWER_SHARE, WORKER_SHARE = 1.2, 0.015, 0.95
# More than four workers of 5 ms can take.
MANY_CAMERAS, MANY_FPS = 8, 120

INTRODUCTION = [
    "The fake detector, 5 ms a frame; 640x480 demo cameras at 30 fps, one subscriber. The cameras have two workers.",
    f"The workers are overloaded: {MANY_CAMERAS} cameras at {MANY_FPS} fps. Latency is from capture to the broker, and",
    "holds the 5 ms.",
]


class Run(NamedTuple):
    """Figures of one configuration; the worker's are the sum over workers."""

    number: int
    daemon_percent: float
    worker_percent: float
    daemon_mb: float
    worker_mb: float
    inferred_fps: float
    p50_ms: float
    p99_ms: float


def measure() -> Section:
    """Three tables, one picture, one bar for each."""
    cameras = [run(n, Box(cameras=n, workers=2, backend="fake")) for n in CAMERAS]
    viewers = [run(n, Box(backend="fake"), viewers=n) for n in VIEWERS]
    workers = [run(n, Box(MANY_CAMERAS, n, "fake", fps=MANY_FPS)) for n in WORKERS]
    PICTURE.write_text(svg([plots("cameras", cameras), plots("viewers", viewers), worker_plots(workers)]))
    lines = [*INTRODUCTION, "", "![growth](../pictures/growth.svg)"]
    for name, runs in {"cameras": cameras, "viewers": viewers, "workers": workers}.items():
        lines += ["", *run_table(name, runs)]
    bars = [camera_bar(cameras), viewer_bar(viewers), worker_bar(workers)]
    return Section("Growth", lines, bars)


def run(number: int, box: Box, viewers: int = 0) -> Run:
    """Start one configuration, let it settle, look at it for a while."""
    with (
        box,
        Child(watch, box.http_port, box.cameras[0], viewers, SECONDS) as viewing,
        Child(arrivals, box.mqtt_port, SECONDS) as subscriber,
    ):
        time.sleep(SETTLE_S)
        pids = [box.daemon.pid, *box.workers()]
        begin_s, inferred, before = time.monotonic(), box.inferred(), [cpu_s(pid) for pid in pids]
        time.sleep(SECONDS - 2 * SETTLE_S)
        span_s = time.monotonic() - begin_s
        daemon_s, *workers_s = (cpu_s(pid) - was for pid, was in zip(pids, before, strict=True))
        fps = (box.inferred() - inferred) / span_s
        daemon_mb, *workers_mb = (anonymous_mb(pid) for pid in pids)
        messages = subscriber.answer(LIMIT_S)
        viewing.answer(LIMIT_S)
    totals_ms = [json.loads(payload)["latency_ms"]["total"] for _, payload in messages]
    shares = (100 * daemon_s / span_s, 100 * sum(workers_s) / span_s)
    return Run(number, *shares, daemon_mb, sum(workers_mb), fps, *p50_p99(totals_ms))


def processors(one: Run) -> float:
    """Processor time of daemon and workers, % of one processor."""
    return one.daemon_percent + one.worker_percent


def camera_bar(runs: Sequence[Run]) -> Bar:
    """Many cameras beside as many times one."""
    first, last = runs[0], runs[-1]
    share = processors(last) / (last.number * processors(first))
    return Bar(f"processor time, {last.number} cameras / {last.number} times 1 camera", share, CAMERA_SHARE)


def viewer_bar(runs: Sequence[Run]) -> Bar:
    """One more viewer beside a camera with its first one, over the steps that are long enough to tell."""
    first, _, some, many = runs
    one_more = max(
        (processors(after) - processors(before)) / (after.number - before.number)
        for before, after in ((first, some), (some, many))
    )
    return Bar("processor time, one more viewer / a camera and its first", one_more / processors(first), VIEWER_SHARE)


def worker_bar(runs: Sequence[Run]) -> Bar:
    """Two workers beside twice one."""
    share = runs[1].inferred_fps / (2 * runs[0].inferred_fps)
    return Bar("inferred fps, 2 workers / twice 1 worker", share, WORKER_SHARE, most=False)


def run_table(name: str, runs: Sequence[Run]) -> list[str]:
    """One row a configuration."""
    head = [name, "daemon CPU %", "workers CPU %", "daemon MB", "workers MB", "inferred fps", "latency p50 ms", "p99"]
    rows = [
        [str(one.number), *(f"{value:.1f}" for value in one[1:6]), *(f"{value:.2f}" for value in one[6:])]
        for one in runs
    ]
    return table(head, rows)


def plots(name: str, runs: Sequence[Run]) -> list[Plot]:
    """Three plots over the number of cameras or viewers."""
    return [
        Plot("daemon + workers, CPU %", name, [(one.number, processors(one)) for one in runs]),
        Plot("daemon, anonymous MB", name, [(one.number, one.daemon_mb) for one in runs]),
        Plot("latency p50, ms", name, [(one.number, one.p50_ms) for one in runs]),
    ]


def worker_plots(runs: Sequence[Run]) -> list[Plot]:
    """Three plots over the number of workers."""
    return [
        Plot("inferred fps, overloaded", "workers", [(one.number, one.inferred_fps) for one in runs]),
        Plot("workers, anonymous MB", "workers", [(one.number, one.worker_mb) for one in runs]),
        Plot("latency p50, ms", "workers", [(one.number, one.p50_ms) for one in runs]),
    ]

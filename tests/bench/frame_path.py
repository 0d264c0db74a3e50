# SPDX-License-Identifier: Apache-2.0
"""The whole way of a frame, less its inference: how long it takes, and its share of the processor time.

Two runs of a 640x480 source at 30 fps with one subscriber, the second with one viewer too. The recording worker notes
when each frame was captured (CLOCK_MONOTONIC, from FRAME) and when its inference began and ended; the subscriber notes
on the same clock when the message with that frame's number has arrived. The way less inference is arrival - capture -
inference.
It is judged with the fake detector: on a machine that cannot infer 30 frames a second a frame waits for the worker, and
that wait is the inference's. The figures of each third of the run are printed beside those of the whole: what else runs
on the machine comes and goes.

Inference is what happens inside `Detector.detect`: the calling thread's own time around each call (thread_time_ns), and
all time of the worker's other threads, which are the pool of the inference library. The rest of the daemon's and the
worker's utime + stime is not inference. Broker, subscriber and viewer are not counted: they are not ours. It is judged
with CenterFace and a video file, at the first of `RATES_FPS` that this machine can infer: where it cannot, frames are
captured that nobody infers.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.box import Box
from tests.bench.child import Child
from tests.bench.clip import make_clip
from tests.bench.page import Bar, Section, table
from tests.bench.percentiles import p50_p99
from tests.bench.process_figures import cpu_s
from tests.bench.recorder import recording, records
from tests.bench.subscriber import arrivals
from tests.bench.viewers import watch

SECONDS, SETTLE_S, THIRDS = 18.0, 2.0, 3
RATES_FPS, SUSTAINED = (30, 15, 7), 0.97
P50_MS, P99_MS, PERCENT = 1.0, 5.0, 10.0
INTRODUCTION = [
    "640x480, one subscriber; the fake detector at 30 fps, CenterFace at the rate of its bar and with one viewer too.",
    "Milliseconds, as the messages tell.",
]
STAGES = ("capture", "queue", "handoff", "infer", "publish", "total")


class Observed(NamedTuple):
    """One run: milliseconds of each frame's way and stages; processor time in seconds of `span_s`."""

    ways_ms: list[float]
    stages_ms: list[dict[str, float]]
    span_s: float
    daemon_s: float
    worker_s: float
    inference_s: float

    @property
    def other_percent(self) -> float:
        """The share that is not inference."""
        return 100 * (1 - self.inference_s / (self.daemon_s + self.worker_s))


def measure() -> Section:
    """Bars of two runs."""
    fake = observed(Box(backend="fake", command=recording), viewers=0)
    fps, real = at_a_rate_that_is_sustained()
    thirds = [p50_p99(third) for third in split(fake.ways_ms)]
    p50, p99 = p50_p99(fake.ways_ms)
    bars = [
        # A frame that waits too long is replaced by a newer one: then its time is missing.
        Bar("frames with a message, of those that a camera delivers", came(fake, RATES_FPS[0]), SUSTAINED, most=False),
        Bar("the same with CenterFace and 1 viewer", came(real, fps), SUSTAINED, most=False),
        Bar("frame in memory → message at a subscriber, less inference, p50", p50, P50_MS, "ms"),
        Bar("frame in memory → message at a subscriber, less inference, p99", p99, P99_MS, "ms"),
        Bar(f"processor time that is not inference, 1 viewer, {fps} fps", real.other_percent, PERCENT, "%"),
    ]
    told = ", ".join(f"{p50:.2f} and {p99:.2f}" for p50, p99 in thirds)
    quiet = f"Less inference with the fake detector, p50 and p99 of each third: {told} ms."
    lines = [*INTRODUCTION, "", *stages_table(fake, real), "", quiet, "", processors(real)]
    return Section("The way of a frame", lines, bars)


def at_a_rate_that_is_sustained() -> tuple[int, Observed]:
    """CenterFace on a file: the rate, and the run in which nearly all frames were inferred, or else the slowest one."""
    with tempfile.TemporaryDirectory(prefix="bench-clip-") as folder:
        source = f"file:{make_clip(Path(folder))}"
        for fps in RATES_FPS:
            run = observed(Box(source=source, fps=fps, command=recording), viewers=1)
            if came(run, fps) >= SUSTAINED:
                break
    return fps, run


def came(run: Observed, fps: int) -> float:
    """The share of frames of which there was a message."""
    return len(run.ways_ms) / (fps * SECONDS)


def split(values: list[float]) -> list[list[float]]:
    """Thirds, in order of time."""
    size = len(values) // THIRDS
    return [values[n * size : (n + 1) * size] for n in range(THIRDS)]


def observed(box: Box, viewers: int) -> Observed:
    """Subscribe, and watch, for a while."""
    with box:
        (worker,) = box.workers()
        with (
            Child(arrivals, box.mqtt_port, SECONDS) as subscriber,
            Child(watch, box.http_port, box.cameras[0], viewers, SECONDS) as viewing,
        ):
            time.sleep(SETTLE_S)
            begin_ns, before = time.monotonic_ns(), (cpu_s(box.daemon.pid), cpu_s(worker))
            time.sleep(SECONDS - 2 * SETTLE_S)
            end_ns, after = time.monotonic_ns(), (cpu_s(box.daemon.pid), cpu_s(worker))
            messages: list[tuple[int, bytes]] = subscriber.answer(SECONDS)
            viewing.answer(SECONDS)
        box.stop_workers()
        (record,) = records(box.folder)
    told = [(arrived_ns, json.loads(payload)) for arrived_ns, payload in messages]
    return Observed(
        ways_ms=less_inference_ms(told, record["rows"]),
        stages_ms=[payload["latency_ms"] for _, payload in told],
        span_s=(end_ns - begin_ns) / 1e9,
        daemon_s=after[0] - before[0],
        worker_s=after[1] - before[1],
        inference_s=inference_s(record["inference_cpu"], begin_ns, end_ns),
    )


def less_inference_ms(told: list[tuple[int, dict[str, Any]]], rows: list[Any]) -> list[float]:
    """For each message, milliseconds from capture to arrival without those inside the detector."""
    known = {seq: captured_ns + end_ns - begin_ns for _, seq, captured_ns, begin_ns, end_ns in rows}
    return [(arrived_ns - known[payload["frame"]]) / 1e6 for arrived_ns, payload in told]


def inference_s(marks: list[tuple[int, int]], begin_ns: int, end_ns: int) -> float:
    """Processor time of inference between two moments; marks are (moment, time so far)."""
    inside = [spent_ns for at_ns, spent_ns in marks if begin_ns <= at_ns <= end_ns]
    return (inside[-1] - inside[0]) / 1e9


def stages_table(fake: Observed, real: Observed) -> list[str]:
    """Each stage of both runs, and what the subscriber's clock says."""
    head = ["stage", "fake detector, 5 ms: p50", "p99", "CenterFace: p50", "p99"]
    rows = [[stage, *stage_cells(fake, stage), *stage_cells(real, stage)] for stage in STAGES]
    last = ["capture → arrival at the subscriber, less inference", *words(fake.ways_ms), *words(real.ways_ms)]
    return table(head, [*rows, last])


def stage_cells(run: Observed, stage: str) -> list[str]:
    """p50 and p99 of one stage."""
    return words([one[stage] for one in run.stages_ms])


def words(values: list[float]) -> list[str]:
    """p50 and p99 as text."""
    return [f"{value:.2f}" for value in p50_p99(values)]


def processors(run: Observed) -> str:
    """What daemon and worker used."""
    daemon, worker, inference = (100 * s / run.span_s for s in (run.daemon_s, run.worker_s, run.inference_s))
    fps = len(run.ways_ms) / SECONDS
    return (
        f"CenterFace at {fps:.1f} inferred fps, % of one processor: daemon {daemon:.1f}, worker {worker:.1f}, of which "
        f"inference {inference:.1f}."
    )

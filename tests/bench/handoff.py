# SPDX-License-Identifier: Apache-2.0
"""Hand-off of frames to a Python process: the ring beside what people use today, rounds interleaved in one run.

Latency is from "the frame is ready in the sender" to "a NumPy array of it exists in the receiver", in microseconds.
Every sender writes each frame anew before it is ready. What that frame is written into is the sender's choice: the
ring's is drawn in its slot, as the daemon draws its letterbox; `ring, copied in` shows a sender that has it elsewhere.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from tests.bench.awake import awake_processors
from tests.bench.child import Child
from tests.bench.page import Bar, Section, table
from tests.bench.ring_handoff import RINGS, ring_round
from tests.bench.transports import RIVALS, Pace

SIZES = {"640x480": (480, 640, 3), "1920x1080": (1080, 1920, 3)}
LIMIT_S = 20.0  # for a receiver's start, and for a round
BARS = {"640x480": 1 / 5, "1920x1080": 1 / 20}  # of the unix stream's p50

INTRODUCTION = [
    "Microseconds from the finished frame to the NumPy array; rounds interleaved, all frames of all rounds.",
    "The ring's sender is Go, the rivals' senders are Python. See [the design page](../design/handoff.md).",
    "",
]

Rows = dict[str, dict[str, dict[str, float]]]


class Setting(NamedTuple):
    """Under what one table is measured."""

    what: str
    transports: tuple[str, ...]
    interval_s: float
    frames: int
    rounds: int
    awake: bool


# The bars are judged here: at camera rates the ring's figure is the time that an idle processor takes to wake.
JUDGED = Setting("Processors kept awake (the bars are judged here)", (*RINGS, "unix stream"), 0.001, 300, 5, awake=True)
AS_IT_COMES = Setting("Processors that may fall asleep", (*RINGS, *RIVALS), 0.010, 120, 2, awake=False)


def measure() -> Section:
    """Both tables, and the bars of the first."""
    judged, plain = latencies(JUDGED), latencies(AS_IT_COMES)
    lines = [*INTRODUCTION, *words(JUDGED, judged), "", *words(AS_IT_COMES, plain)]
    return Section("Hand-off of a frame to a Python process", lines, [bar(judged, size) for size in SIZES])


def words(setting: Setting, rows: Rows) -> list[str]:
    """One table with its conditions."""
    pace = (
        f"{setting.frames} frames a round, {setting.rounds} rounds, one frame each {setting.interval_s * 1000:.0f} ms"
    )
    head = ["transport", *(word for size in SIZES for word in (f"{size} p50", "p99"))]
    quantity = ("p50_us", "p99_us")
    body = [[name, *(f"{row[size][q]:,.0f}" for size in SIZES for q in quantity)] for name, row in rows.items()]
    return [f"{setting.what}; {pace}:", "", *table(head, body)]


def latencies(setting: Setting) -> Rows:
    """p50 and p99 of each transport over all rounds; the first tenth of a round is left out as warm-up."""
    collected: dict[str, dict[str, list[list[float]]]] = {}
    with awake_processors() if setting.awake else nullcontext():
        for _ in range(setting.rounds):
            for size, shape in SIZES.items():
                for name in setting.transports:
                    one = one_round(name, shape, setting)[setting.frames // 10 :]
                    collected.setdefault(name, {}).setdefault(size, []).append(one)
    return {name: {size: quantiles(rounds) for size, rounds in sizes.items()} for name, sizes in collected.items()}


def one_round(name: str, shape: tuple[int, int, int], setting: Setting) -> list[float]:
    """Latencies of one round of one transport in fresh processes."""
    if name in RINGS:
        return ring_round(shape, setting.frames, setting.interval_s, *RINGS[name])
    return rival_round(name, shape, setting)


def rival_round(name: str, shape: tuple[int, int, int], setting: Setting) -> list[float]:
    """One round of one rival in two fresh processes."""
    send, receive = RIVALS[name]
    ready = multiprocessing.get_context("spawn").Event()
    with tempfile.TemporaryDirectory(prefix="handoff-") as folder:
        path = Path(folder) / "socket"
        with Child(receive, path, shape, setting.frames, ready) as receiver:
            if not ready.wait(LIMIT_S):
                raise TimeoutError(f"the receiver of {name} was not ready after {LIMIT_S} s")
            frame = bytearray(shape[0] * shape[1] * shape[2])
            with Child(send, path, frame, Pace(setting.frames, setting.interval_s, frame)):
                result: list[float] = receiver.answer(LIMIT_S)
    return result


def quantiles(rounds: list[list[float]]) -> dict[str, float]:
    """p50 and p99 in microseconds."""
    cuts = statistics.quantiles([value for one in rounds for value in one], n=100)
    return {"p50_us": cuts[49], "p99_us": cuts[98]}


def bar(rows: Rows, size: str) -> Bar:
    """The bar: the ring's p50 as a share of the unix stream's."""
    share = rows["ring"][size]["p50_us"] / rows["unix stream"][size]["p50_us"]
    return Bar(f"hand-off p50, {size}, ring / unix stream", share, BARS[size])

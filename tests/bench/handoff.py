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
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tests.bench.awake import awake_processors
from tests.bench.child import Child
from tests.bench.page import Bar, Section, table
from tests.bench.percentiles import p50_p99
from tests.bench.ring_handoff import RINGS, ring_round
from tests.bench.transports import RIVALS, Pace
from tests.bench.turns import in_turn, ratio

SIZES = {"640x480": (480, 640, 3), "1920x1080": (1080, 1920, 3)}
LIMIT_S = 20.0  # for a receiver's start, and for a round
BARS = {"640x480": 1 / 5, "1920x1080": 1 / 20}  # of the unix stream's p50

INTRODUCTION = [
    "Microseconds from the finished frame to the NumPy array; everybody has a turn in each round, all frames of all",
    "rounds. The bars are the medians of the ratios within a round.",
    "The ring's sender is Go, the rivals' senders are Python. See [the design page](../design/handoff.md).",
    "",
]

Rounds = dict[tuple[str, str], list[list[float]]]  # microseconds of each frame of each round, by transport and size


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


def words(setting: Setting, rounds: Rounds) -> list[str]:
    """One table with its conditions, of all frames of all rounds."""
    pace = (
        f"{setting.frames} frames a round, {setting.rounds} rounds, one frame each {setting.interval_s * 1000:.0f} ms"
    )
    head = ["transport", *(word for size in SIZES for word in (f"{size} p50", "p99"))]
    body = [
        [name, *(f"{taken_us:,.0f}" for size in SIZES for taken_us in p50_p99(list(chain(*rounds[name, size]))))]
        for name in setting.transports
    ]
    return [f"{setting.what}; {pace}:", "", *table(head, body)]


def latencies(setting: Setting) -> Rounds:
    """All transports and sizes in turn."""
    measures = {
        (name, size): partial(one_round, name, shape, setting)
        for size, shape in SIZES.items()
        for name in setting.transports
    }
    with awake_processors() if setting.awake else nullcontext():
        return in_turn(measures, setting.rounds)


def one_round(name: str, shape: tuple[int, int, int], setting: Setting) -> list[float]:
    """Latencies of one round of one transport in fresh processes; the first tenth is left out as warm-up."""
    if name in RINGS:
        taken_us = ring_round(shape, setting.frames, setting.interval_s, *RINGS[name])
    else:
        taken_us = rival_round(name, shape, setting)
    return taken_us[setting.frames // 10 :]


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


def bar(rounds: Rounds, size: str) -> Bar:
    """The ring's p50 as a share of the unix stream's, the median of the rounds."""
    ring, stream = ([statistics.median(one) for one in rounds[name, size]] for name in ("ring", "unix stream"))
    return Bar(f"hand-off p50, {size}, ring / unix stream", ratio(ring, stream), BARS[size])

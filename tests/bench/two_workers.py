# SPDX-License-Identifier: Apache-2.0
"""Two workers beside one: CenterFace on one thread each, with more frames than they can take.

The real dispatcher and real worker processes; frames are synthetic, so that drawing them takes no processor from the
workers (what capture costs is another bar). What two processes can reach on this machine at all is measured beside it:
the same detector in processes of their own, each in a loop, with no daemon and no ring. All take turns (turns.py).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

from visavis.bench.models import detector, noise
from visavis.supervisor import Supervisor

from tests.bench.child import Child
from tests.bench.page import Bar, Section, table
from tests.bench.ring_handoff import PROGRAM
from tests.bench.turns import in_turn, ratio
from tests.chaos.ringload import Ringload
from tests.waiting import until

SIZE = (640, 480)
STREAMS = ("-stream", "a:640x480@100", "-stream", "b:640x480@100")
COUNTS, ROUNDS, SECONDS, LIMIT_S = (1, 2), 6, 3.0, 60.0
TIMES = 1.9
OURS, BARE = "workers", "bare processes"

Rounds = Mapping[tuple[str, int], Sequence[float]]  # frames a second in each round, by what and how many of them


def measure() -> Section:
    """The bar, where there are two processors."""
    title = "Two workers"
    if len(os.sched_getaffinity(0)) < max(COUNTS):
        return Section(title, ["Not measured: this machine has one processor."], [])
    fps = in_turn({(what, count): partial(fps_of, what, count) for what in (OURS, BARE) for count in COUNTS}, ROUNDS)
    lines = [
        f"CenterFace 640x480 in fp32 on one thread each, frames a second; {ROUNDS} rounds, a turn of {SECONDS:.0f} s",
        "for each. The times are the median of the ratios within a round, since the machine's speed drifts.",
        "Bare processes have no daemon and no ring: what this machine gives to two of them is the most there is.",
        "",
        *table(["", "1 process", "2 processes", "times"], [row(fps, what) for what in (OURS, BARE)]),
    ]
    return Section(
        title, lines, [Bar("inferred fps of CenterFace, 2 workers / 1", times(fps, OURS), TIMES, most=False)]
    )


def row(fps: Rounds, what: str) -> list[str]:
    """A row of the table."""
    return [what, *(words(fps[what, count]) for count in COUNTS), f"{times(fps, what):.2f}"]


def times(fps: Rounds, what: str) -> float:
    """The larger count over the smaller."""
    one, two = (fps[what, count] for count in COUNTS)
    return ratio(two, one)


def words(values: Sequence[float]) -> str:
    """Every round's figure."""
    return ", ".join(f"{value:.1f}" for value in values)


def fps_of(what: str, count: int) -> float:
    """One turn."""
    return workers_fps(count) if what == OURS else bare_fps(count)


def workers_fps(count: int) -> float:
    """Frames a second that real workers answer together."""
    with tempfile.TemporaryDirectory(prefix="two-workers-") as folder:
        path = Path(folder) / "frames.sock"
        command = [sys.executable, "-m", "visavis.cli", "worker", "--socket", str(path), "--threads", "1"]
        command += ["--backend", "onnxruntime", "--input", f"{SIZE[0]}x{SIZE[1]}"]
        with Ringload(PROGRAM, path, "-workers", str(count), *STREAMS) as load:
            with Supervisor(command, count):
                until(lambda: all_work(load, count), f"{count} workers do not all answer frames", LIMIT_S)
                begin_s, before = time.monotonic(), load.counter("Inferred")
                time.sleep(SECONDS)
                fps = (load.counter("Inferred") - before) / (time.monotonic() - begin_s)
            load.quit()
    return fps


def all_work(load: Ringload, count: int) -> bool:
    """Whether all workers are there and have answered some frames."""
    workers = load.workers()
    return len(workers) == count and all(worker["Frames"] > 10 for worker in workers)


def bare_fps(count: int) -> float:
    """Frames a second of detectors in processes of their own, together."""
    loaded = multiprocessing.get_context("spawn").Barrier(count)
    with ExitStack() as all_of_them:
        children = [all_of_them.enter_context(Child(loop, loaded)) for _ in range(count)]
        return sum(float(child.answer(LIMIT_S)) for child in children)


def loop(loaded: Barrier) -> float:
    """Runs in a process of its own: detect once all processes are loaded; frames a second."""
    one, picture = detector("centerface", SIZE), noise(SIZE)
    loaded.wait(LIMIT_S)
    frames, begin_s = 0, time.monotonic()
    while (took_s := time.monotonic() - begin_s) < SECONDS:
        one.detect(picture)
        frames += 1
    return frames / took_s

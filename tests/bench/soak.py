# SPDX-License-Identifier: Apache-2.0
"""`make soak`: whether anything grows in an appliance that is used for hours: memory, threads, descriptors.

Two demo cameras with CenterFace, a client that sends a picture and a viewer that looks for a moment, again and again.
SOAK_HOURS says for how long (8). What grows is a slope (slope.py) after the warm-up, not the difference of two looks.
Exit 1 when a bar is missed; it prints its table and writes nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from websockets.sync.client import connect  # noqa: E402 (the root must be on the path first)

from tests.bench.box import Box  # noqa: E402
from tests.bench.page import Bar, Section, bars_table  # noqa: E402
from tests.bench.process_figures import anonymous_mb  # noqa: E402
from tests.bench.run import verdict  # noqa: E402
from tests.bench.slope import slope  # noqa: E402
from tests.e2e.bombs import photo  # noqa: E402

DAEMON_MB_H, WORKER_MB_H, SPARE = 0.5, 1.0, 2.0
USUAL_HOURS, WARM_UP_HOURS, PERIOD_S = 8.0, 0.5, 30.0
CAMERAS, SEEN_PICTURES = 2, 10
TOO_MUCH = (429, 503)  # with both cameras there may be no time left for a client
ANSWERED = 0.1
PICTURE = photo(".jpg", width=640, height=480)


class Held(NamedTuple):
    """What one process holds at a time; memory is anonymous, in MB."""

    pid: int
    memory_mb: float
    threads: int
    descriptors: int


class Look(NamedTuple):
    """What an appliance holds, hours after the first look, and what it has done since the look before."""

    hours: float
    daemon: Held
    worker: Held
    inferred: int
    answered: int


def main() -> int:
    """Use it, look at it, judge it."""
    hours = float(os.environ.get("SOAK_HOURS", USUAL_HOURS))
    with Box(CAMERAS) as box:
        found = looks(box, hours)
    bars = judged(found)
    print("\n".join(["", *bars_table(bars)[2:]]))
    return verdict([Section("Soak", [], bars)])


def looks(box: Box, hours: float) -> list[Look]:
    """Look now and then for so long; the warm-up, half an hour or a quarter of a short run, is left out."""
    begin_s, period_s = time.monotonic(), min(PERIOD_S, 3600 * hours / 60)
    found: list[Look] = []
    frames = box.inferred()
    while (passed := (time.monotonic() - begin_s) / 3600) < hours:
        answered, before = used(box), frames
        frames = box.inferred()
        (worker,) = box.workers()
        found.append(Look(passed, held(box.daemon.pid), held(worker), frames - before, answered))
        print(f"soak: {found[-1]}", file=sys.stderr, flush=True)
        time.sleep(period_s)
    return [one for one in found if one.hours >= min(WARM_UP_HOURS, hours / 4)]


def used(box: Box) -> int:
    """A client sends a picture, and a viewer looks at a camera for a moment; how many pictures were answered."""
    address = f"127.0.0.1:{box.http_port}/api/v1"
    asked = urllib.request.Request(f"http://{address}/detect", PICTURE, {"Content-Type": "image/jpeg"})
    try:
        answer = urllib.request.urlopen(asked, timeout=30)  # noqa: S310
    except urllib.error.HTTPError as refusal:
        if refusal.code not in TOO_MUCH:
            raise
        answer = refusal
    with answer:
        answer.read()
        answered = answer.status == HTTPStatus.OK
    with connect(f"ws://{address}/cameras/{box.cameras[0]}/live", max_size=None) as viewer:
        for _ in range(SEEN_PICTURES):
            viewer.recv(30)
    return int(answered)


def held(pid: int) -> Held:
    """What a process holds now."""
    threads, descriptors = (len(list(Path(f"/proc/{pid}/{name}").iterdir())) for name in ("task", "fd"))
    return Held(pid, anonymous_mb(pid), threads, descriptors)


def judged(found: Sequence[Look]) -> list[Bar]:
    """The bars of a run."""
    hours = [one.hours for one in found]
    daemon, worker = [one.daemon for one in found], [one.worker for one in found]
    return [
        *of_process("the daemon", hours, daemon, DAEMON_MB_H),
        *of_process("the worker", hours, worker, WORKER_MB_H),
        # One that begins anew has nothing that could have grown.
        Bar("workers that took its place", len({one.pid for one in worker}) - 1, 0),
        Bar("frames inferred between two looks, the least", min(one.inferred for one in found), 1, most=False),
        Bar(
            "pictures of clients answered, of all",
            sum(one.answered for one in found) / len(found),
            ANSWERED,
            most=False,
        ),
    ]


def of_process(name: str, hours: Sequence[float], found: Sequence[Held], most_mb_h: float) -> list[Bar]:
    """What must not grow in a process."""
    memory = slope(list(zip(hours, (one.memory_mb for one in found), strict=True)))
    return [
        Bar(f"anonymous memory of {name}", memory, most_mb_h, "MB/h"),
        Bar(f"threads of {name}, last fifth − first", more([one.threads for one in found]), SPARE),
        Bar(f"descriptors of {name}, last fifth − first", more([one.descriptors for one in found]), SPARE),
    ]


def more(values: Sequence[int]) -> float:
    """How much more there are at the end than at the beginning."""
    fifth = max(1, len(values) // 5)
    return statistics.median(values[-fifth:]) - statistics.median(values[:fifth])


if __name__ == "__main__":
    sys.exit(main())

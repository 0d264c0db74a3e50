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
PICTURE = photo(".jpg", width=640, height=480)


class Look(NamedTuple):
    """What an appliance holds at a time, hours after the first look; memory in MB."""

    hours: float
    daemon_mb: float
    worker_mb: float
    threads: int
    descriptors: int


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
    while (passed := (time.monotonic() - begin_s) / 3600) < hours:
        used(box)
        found.append(look(box, passed))
        print(f"soak: {found[-1]}", file=sys.stderr, flush=True)
        time.sleep(period_s)
    return [one for one in found if one.hours >= min(WARM_UP_HOURS, hours / 4)]


def used(box: Box) -> None:
    """A client sends a picture, and a viewer looks at a camera for a moment."""
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
    with connect(f"ws://{address}/cameras/{box.cameras[0]}/live", max_size=None) as viewer:
        for _ in range(SEEN_PICTURES):
            viewer.recv(30)


def look(box: Box, hours: float) -> Look:
    """What daemon and worker hold."""
    (worker,) = box.workers()
    task = Path(f"/proc/{box.daemon.pid}")
    threads, descriptors = (len(list((task / name).iterdir())) for name in ("task", "fd"))
    return Look(hours, anonymous_mb(box.daemon.pid), anonymous_mb(worker), threads, descriptors)


def judged(found: Sequence[Look]) -> list[Bar]:
    """The bars of a run."""
    return [
        Bar(
            "anonymous memory of the daemon", slope([(one.hours, one.daemon_mb) for one in found]), DAEMON_MB_H, "MB/h"
        ),
        Bar("anonymous memory of a worker", slope([(one.hours, one.worker_mb) for one in found]), WORKER_MB_H, "MB/h"),
        Bar("threads of the daemon, last fifth − first", more([one.threads for one in found]), SPARE),
        Bar("descriptors of the daemon, last fifth − first", more([one.descriptors for one in found]), SPARE),
    ]


def more(values: Sequence[int]) -> float:
    """How much more there are at the end than at the beginning."""
    fifth = max(1, len(values) // 5)
    return statistics.median(values[-fifth:]) - statistics.median(values[:fifth])


if __name__ == "__main__":
    sys.exit(main())

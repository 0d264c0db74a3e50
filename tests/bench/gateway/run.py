# SPDX-License-Identifier: Apache-2.0
"""`make bench-gateway`: the gateway beside what people write today, in one run; writes docs/reference/gateway.md.

Exit 1 when a bar is missed; its name is among the last things printed. `--quick` is for development: short, noisy, and
it writes nothing.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import TypeVar

from tests.bench.clip import make_clip
from tests.bench.gateway import frames, live, measure, side_by_side, workers
from tests.bench.gateway.article import claims
from tests.bench.gateway.bars import bars
from tests.bench.gateway.figures import BUSY, CROWD, FULL, QUICK, Plan
from tests.bench.gateway.servers import ROOT, SITE, VISAVIS, WORKERS
from tests.bench.gateway.tables import (
    cheap_tables,
    cheap_words,
    closed_tables,
    frames_table,
    live_plot,
    live_table,
    load_plots,
    memory_table,
    open_table,
    probe_table,
    turns_table,
    workers_table,
)
from tests.bench.page import Section, bars_table
from tests.bench.run import verdict
from tests.gocv_module import gocv_images

PAGE = ROOT / "docs" / "reference" / "gateway.md"
PICTURES = ROOT / "docs" / "pictures"
T = TypeVar("T")
DEADLINE_MS, PATIENCE = 250.0, 3.0  # gateway.deadline_ms, and the workers' times for a picture that it is at least


def main(options: list[str]) -> int:
    """Measure everything, write the page, and say which bars are missed."""
    quick = options == ["--quick"]
    begin_s = time.monotonic()
    found = Found(QUICK if quick else FULL)
    text = "\n".join([*head(time.monotonic() - begin_s), *found.lines()]) + "\n"
    pictures = found.pictures()
    print(text)
    if not quick:
        PAGE.write_text(text)
        for name, picture in pictures.items():
            (PICTURES / name).write_text(picture)
    return verdict([Section("", [], found.bars)])


class Found:
    """Everything that was measured."""

    def __init__(self, plan: Plan) -> None:
        picture = gocv_images() / "face.jpg"
        turns = told("what takes turns", lambda: side_by_side.measured(plan, picture))
        self.servers = measure.measured(plan, picture, turns)
        with tempfile.TemporaryDirectory(prefix="clip-") as folder:
            self.live = told("viewers", lambda: live.measured(plan, make_clip(Path(folder))))
        self.frames = told("frames", lambda: frames.measured(plan.frames))
        self.workers = told("workers", lambda: workers.measured(plan, picture))
        self.deadline_ms = max(DEADLINE_MS, PATIENCE * self.servers[VISAVIS.name].service_ms)
        self.bars = bars(self.servers, self.live, self.workers, self.deadline_ms)

    def pictures(self) -> dict[str, str]:
        """SVG by file name."""
        return {"gateway-load.svg": load_plots(self.servers), "gateway-viewers.svg": live_plot(self.live)}

    def closed_connections(self) -> list[int]:
        return [run.connections for run in self.servers[VISAVIS.name].closed]

    def lines(self) -> list[str]:
        """The page below its head."""
        return [
            *bars_table(self.bars),
            "",
            "## In turns",
            "",
            *IN_TURNS,
            *turns_table(self.servers),
            "",
            "## What the article says",
            "",
            *claims(self.servers, self.live),
            "## Cheap requests",
            "",
            *CHEAP,
            *cheap_tables(self.servers),
            "",
            *cheap_words(self.servers, os.cpu_count() or 1),
            "",
            "## Pictures, every client waits for its answer",
            "",
            *CLOSED,
            *closed_tables(self.servers),
            "",
            "![over connections](../pictures/gateway-load.svg)",
            "",
            "The upright scales are logarithmic; a p50 is a least value where the table says so.",
            "",
            f"A cheap request while {BUSY} clients send pictures:",
            "",
            *probe_table(self.servers, BUSY),
            "",
            *memory_table(self.servers, max(n for n in self.closed_connections() if n <= CROWD)),
            "",
            "## Pictures at a rate",
            "",
            *OPEN,
            *open_table(self.servers, self.deadline_ms),
            "",
            "## Viewers",
            "",
            *LIVE,
            *live_table(self.live),
            "",
            "![over viewers](../pictures/gateway-viewers.svg)",
            "",
            "## Between Go and Python",
            "",
            *FRAMES,
            *frames_table(self.frames),
            "",
            "## Workers",
            "",
            f"{BUSY} clients, no deadline, one thread each; in turns, the median of the rounds. Memory is that",
            "of one alone.",
            "",
            *workers_table(self.workers),
        ]


def told(name: str, measure_it: Callable[[], T]) -> T:
    """Run one part and say how long it took."""
    begin_s = time.monotonic()
    found = measure_it()
    print(f"bench-gateway: {name} took {time.monotonic() - begin_s:.0f} s", file=sys.stderr, flush=True)
    return found


def head(took_s: float) -> list[str]:
    """What was measured where."""
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}"
    return [
        "# The gateway beside what people write today",
        "",
        "The last run of `make bench-gateway`, written by it, all figures and verdicts. Clients and servers share the",
        "machine. Machines are noisy: compare only figures of one run.",
        "",
        f"Machine: {machine}, Python {platform.python_version()}, {versions()}.",
        f"It took {took_s / 60:.0f} minutes; load average at the end {os.getloadavg()[0]:.1f}.",
        "",
        *SERVERS,
    ]


def versions() -> str:
    """Of what is compared with."""
    found = {one.name.lower(): one.version for one in distributions(path=[str(SITE)])}
    return ", ".join(f"{name} {found[name.lower()]}" for name in ("Flask", "gunicorn", "FastAPI", "uvicorn", "Celery"))


SERVERS = [
    "Everybody has the same prepared CenterFace at 640x480 in fp32 on onnxruntime,",
    f"{WORKERS} processes with one thread each, the same JPEG (640x480, 36 kB) and loopback. The rivals stand in",
    "`tests/bench/rivals`, each as its own documentation advises: Flask's development server is one process with a",
    "thread for each request; gunicorn has its usual workers, one request each; FastAPI answers on its loop and",
    "detects in a thread, one picture at a time in a process; Celery's workers detect, and gunicorn's 64 threads wait.",
    "“visavis, no deadline” lets every picture wait as the others do; “visavis” has its default settings and refuses",
    "who would wait in vain.",
    "",
]
IN_TURNS = [
    "What the bars compare by ratio. The machine's speed drifts, a fifth for half a minute, so that servers which are",
    "measured one after the other are compared at different speeds. Here all run side by side, one is asked at a time,",
    "and they take turns: in each round everybody has one, a second or two long, and every other round goes backwards.",
    "A rate is the median of the rounds. In brackets stands what visavis does as a multiple, for pictures “visavis, no",
    "deadline”: the median of the ratios within a round, which is the bar's figure, the least and the most.",
    "",
]
CHEAP = [
    "`/healthz` and the status as JSON, by wrk, in turns: medians of the rounds. There are fewer rounds at connections",
    "that no bar is about.",
    "",
]
CLOSED = [
    "One server after the other, each alone, since PSS counts once what processes share. Each connection has one",
    "picture under way; a refused client waits as long as Retry-After says. A time with > is only a least value: so",
    "many had no answer when the measurement ended. Processor time is that of all processes of the server, for each",
    "answer.",
    "",
]
OPEN = [
    f"At shares of what the server itself answered with {BUSY} connections, whatever the answers take.",
    "",
]
LIVE = [
    "A video of 640x480 at 30 pictures a second; every face is found, a box drawn, the picture encoded. The tutorials'",
    "way does all of that for each viewer, the others once for all. The reader of all streams is on the same machine.",
    "",
]
FRAMES = [
    "A frame of BGR pixels, from its last byte in Go to its NumPy array, one each 20 ms; more transports are in",
    "[performance.md](performance.md).",
    "",
]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

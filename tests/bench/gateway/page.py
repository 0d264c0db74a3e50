# SPDX-License-Identifier: Apache-2.0
"""docs/reference/gateway.md, made of what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from typing import NamedTuple

from tests.bench.gateway.article import claims
from tests.bench.gateway.bars import bars
from tests.bench.gateway.figures import BUSY, CROWD, Figures, InTurns
from tests.bench.gateway.frames import Latency
from tests.bench.gateway.live import LiveRun
from tests.bench.gateway.servers import SITE, WORKERS
from tests.bench.gateway.tables import (
    cheap_tables,
    cheap_words,
    closed_tables,
    floor_words,
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
from tests.bench.gateway.workers import WorkersRun
from tests.bench.page import Bar, Section, bars_table, machine_here, parts


class Found(NamedTuple):
    """Everything that was measured."""

    servers: Mapping[str, Figures]
    floor: InTurns
    live: Mapping[str, Sequence[LiveRun]]
    frames: Mapping[str, Mapping[str, Latency]]
    workers: Mapping[str, WorkersRun]
    deadline_ms: float
    took_s: float

    @property
    def bars(self) -> list[Bar]:
        return bars(self.servers, self.live, self.workers, self.deadline_ms)


def page(found: Found) -> str:
    """The whole page, Markdown."""
    return "\n".join([*head(found.took_s), *bars_table(found.bars), *parts(sections(found))]) + "\n"


def pictures(found: Found) -> dict[str, str]:
    """SVG by file name."""
    return {"gateway-load.svg": load_plots(found.servers), "gateway-viewers.svg": live_plot(found.live)}


def sections(found: Found) -> list[Section]:
    """All below the bars."""
    bodies = {
        "In turns": [*IN_TURNS, *turns_table(found.servers)],
        "What the article says": claims(found.servers, found.live),
        "Cheap requests": cheap_lines(found),
        "Pictures, every client waits for its answer": closed_lines(found),
        "Pictures at a rate": [*OPEN, *open_table(found.servers, found.deadline_ms)],
        "Viewers": [*LIVE, *live_table(found.live), "", "![over viewers](../pictures/gateway-viewers.svg)"],
        "Between Go and Python": [*FRAMES, *frames_table(found.frames)],
        "Workers": [*TWO_WORKERS, *workers_table(found.workers)],
    }
    return [Section(title, lines, []) for title, lines in bodies.items()]


def cheap_lines(found: Found) -> list[str]:
    return [
        *CHEAP,
        *cheap_tables(found.servers),
        "",
        *cheap_words(found.servers, os.cpu_count() or 1),
        "",
        *floor_words(found.servers, found.floor),
    ]


def closed_lines(found: Found) -> list[str]:
    return [
        *CLOSED,
        *closed_tables(found.servers),
        "",
        "![over connections](../pictures/gateway-load.svg)",
        "",
        "The upright scales are logarithmic; a p50 is a least value where the table says so.",
        "",
        f"A cheap request while {BUSY} clients send pictures:",
        "",
        *probe_table(found.servers, BUSY),
        "",
        *memory_table(found.servers, crowd(found)),
    ]


def crowd(found: Found) -> int:
    """The most connections whose memory is told."""
    any_server = next(iter(found.servers.values()))
    return max(run.connections for run in any_server.closed if run.connections <= CROWD)


def head(took_s: float) -> list[str]:
    """What was measured where."""
    return [
        "# The gateway beside what people write today",
        "",
        "The last run of `make bench-gateway`, written by it, all figures and verdicts. Clients and servers share the",
        "machine. Machines are noisy: compare only figures of one run.",
        "",
        f"Machine: {machine_here()}, Python {platform.python_version()}, {versions()}.",
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
    "who would wait in vain. Sizes of images and starts of containers: [containers](containers.md).",
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
TWO_WORKERS = [
    f"{BUSY} clients, no deadline, one thread each; in turns, the median of the rounds. Memory is that of one alone.",
    "",
]

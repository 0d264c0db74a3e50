# SPDX-License-Identifier: Apache-2.0
"""The tables and plots of the page."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence

from tests.bench.curves import Curves, svg
from tests.bench.gateway.bars import TIMES
from tests.bench.gateway.figures import AT, BUSY, SHARES, ClosedRun, Figures, InTurns, OpenRun
from tests.bench.gateway.frames import SIZES, Latency
from tests.bench.gateway.live import LiveRun
from tests.bench.gateway.load import Answers, milliseconds
from tests.bench.gateway.servers import PATIENT_VISAVIS, UVICORN, VISAVIS, WORKERS
from tests.bench.gateway.workers import Spent, WorkersRun
from tests.bench.page import table
from tests.bench.turns import over, ratio, ratios

PICTURES = "../pictures/"
Servers = Mapping[str, Figures]


def count(value: float) -> str:
    """A rate: no digits from ten on."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def turns_table(servers: Servers) -> list[str]:
    """Rates in turns, and how many times as much visavis does."""
    ours = [*rates_of(servers[VISAVIS.name])[:2], servers[PATIENT_VISAVIS.name].turns.pictures]
    head = ["a second", f"`/healthz`, {AT} conn.", f"status, {AT} conn.", f"pictures, {BUSY} conn."]
    rows = [
        [name, *(beside(*rates) for rates in zip(rates_of(one), ours, strict=True))] for name, one in servers.items()
    ]
    own = servers[VISAVIS.name].turns
    overload = (
        f"visavis with {SHARES[-1]:g} times the pictures that it can take: "
        f"{beside(own.pictures, own.overload)} of what it answers {BUSY} clients."
    )
    return [*table(head, rows), "", overload]


def rates_of(one: Figures) -> list[Sequence[float]]:
    """Of each round: /healthz, the status, pictures; nothing for what was not measured."""
    status = one.turns.status
    return [one.health_at(AT).rates if one.turns.health else [], status.rates if status else [], one.turns.pictures]


def beside(rates: Sequence[float], others: Sequence[float]) -> str:
    """The rate, and the others' as its multiple: the median of the rounds, the least and the most."""
    if not rates:
        return ""
    if rates == others:
        return count(statistics.median(rates))
    times = ratios(others, rates)
    words = f"{ratio(others, rates):.3g} times: {min(times):.3g} to {max(times):.3g}"
    return f"{count(statistics.median(rates))} ({words})"


def cheap_tables(servers: Servers) -> list[str]:
    """Throughput and times of /healthz over connections, the status beside it."""
    whole = {name: one.turns for name, one in servers.items() if one.turns.health}
    connections = [run.connections for run in next(iter(whole.values())).health]
    head = ["requests/s", *(f"{n:,} conn." for n in connections), f"status, {AT}", "CPU us/request", "status"]
    rows = [
        [
            name,
            *(count(run.per_second) for run in one.health),
            count(one.status.per_second) if one.status else "",
            f"{servers[name].health_at(AT).cpu_us:,.0f}",
            f"{one.status.cpu_us:,.0f}" if one.status else "",
        ]
        for name, one in whole.items()
    ]
    times = [
        [name, *(f"{milliseconds(run.p50_ms)} / {milliseconds(run.p99_ms)}" for run in one.health)]
        for name, one in whole.items()
    ]
    errors = [[name, *(count_of(run.errors) for run in one.health)] for name, one in whole.items()]
    labels = [f"{n:,} conn." for n in connections]
    return [
        *table(head, rows),
        "",
        *table(["p50 / p99, ms", *labels], times),
        "",
        *table(["errors", *labels], errors),
    ]


def cheap_words(servers: Servers, processors: int) -> list[str]:
    """What the rates leave out: the client takes its share of the machine, and the more, the more is answered."""
    ours, theirs = (servers[kind.name].health_at(AT) for kind in (VISAVIS, UVICORN))
    taken = [f"{run.cpu_us * run.per_second / 1e6:.1f}" for run in (ours, theirs)]
    return [
        f"With {AT} connections wrk leaves visavis {taken[0]} of {processors} processors, and uvicorn {taken[1]}.",
        f"A request costs uvicorn {theirs.cpu_us / ours.cpu_us:.1f} times what it costs visavis; the rates show that",
        "only where clients have a machine of their own.",
    ]


def floor_words(servers: Servers, floor: InTurns) -> list[str]:
    """What net/http takes of a cheap request, whatever a server written on it does, and what that means for the bar."""
    ours, theirs = servers[VISAVIS.name].turns, servers[UVICORN.name].turns
    least, own, rival = ([one.health_at(AT), one.status] for one in (floor, ours, theirs))
    share = " and ".join(f"{over(a.cpu_us, b.cpu_us):.2f}" for a, b in zip(least, own, strict=True) if a and b)
    times = [ratio(a.rates, b.rates) for a, b in zip(least, rival, strict=True) if a and b]
    bar = TIMES[UVICORN.name]
    reach = "within" if min(times) >= bar else "out of"
    often = " and ".join(f"{one:.3g}" for one in times)
    return [
        "A program of Go's net/http alone, which gives the same answers to `/healthz` and the status from memory,",
        f"without a check, a count or a log, takes {share} of visavis's processor time for a request, and",
        f"answers {often} times as many a second as uvicorn: {bar:g} times are {reach} reach of whatever is",
        "written on net/http while its clients share the machine.",
    ]


def count_of(number: int) -> str:
    return f"{number:,}" if number else "–"


def closed_tables(servers: Servers) -> list[str]:
    """Pictures in closed loops: throughput, times, what went wrong, what each costs."""
    connections = [run.connections for run in next(iter(servers.values())).closed]
    labels = [f"{n:,} conn." for n in connections]
    rows: dict[str, list[list[str]]] = {key: [] for key in ("pictures/s", "p50 / p99, ms", "refused / errors", "cost")}
    for name, one in servers.items():
        rows["pictures/s"].append([name, *(count(run.found.per_second) for run in one.closed)])
        rows["p50 / p99, ms"].append([name, *(" / ".join(run.found.answered.words()) for run in one.closed)])
        rows["refused / errors"].append([name, *(refusals(run.found) for run in one.closed)])
        rows["cost"].append(
            [
                name,
                *(cost_of(run) for run in one.closed),
            ]
        )
    heads = {"cost": "CPU for each answer, PSS", "refused / errors": "refused / errors / unanswered"}
    lines: list[str] = []
    for key, body in rows.items():
        lines += [*table([heads.get(key, key), *labels], body), ""]
    return lines[:-1]


def cost_of(run: ClosedRun) -> str:
    spent = f"{milliseconds(run.cpu_ms)} ms" if run.cpu_ms else "–"
    return f"{spent}, {run.memory.pss:,.0f} MB"


def memory_table(servers: Servers, connections: int) -> list[str]:
    """What the memory is, while so many clients send pictures."""
    rows = []
    for name, one in servers.items():
        memory = one.closed_at(connections).memory
        rows.append([name, f"{memory.pss:,.0f}", f"{memory.pss - memory.files:,.0f}", f"{memory.files:,.0f}"])
    ours = servers[VISAVIS.name]
    words = (
        "Pages of files are those of programs and libraries, which the kernel takes back when memory is short; "
        f"visavis's daemon maps {ours.libraries} libraries, nearly all of which come with the distribution's OpenCV."
    )
    return [*table([f"PSS with {connections} clients, MB", "all", "its own", "pages of files"], rows), "", words]


def refusals(found: Answers) -> str:
    return f"{count_of(found.refused.number)} / {count_of(found.errors)} / {count_of(found.waiting)}"


def probe_table(servers: Servers, connections: int) -> list[str]:
    """A cheap request while so many clients send pictures."""
    rows = []
    for name, one in servers.items():
        probes = one.closed_at(connections).found.probes
        if probes:
            rows.append(
                [name, *probes.words(), f"{probes.number:,}", count_of(one.closed_at(connections).found.failed)]
            )
    return table(["`/healthz` meanwhile, ms", "p50", "p99", "probes, with those due meanwhile", "failed"], rows)


def open_table(servers: Servers, deadline_ms: float) -> list[str]:
    """Pictures at a rate."""
    head = [
        "at",
        "server",
        "sent/s",
        "answered/s",
        "timely/s",
        "p50 / p99, ms",
        "refused",
        "after, p50 / p99 ms",
        "Retry-After",
        "lost",
    ]
    rows = []
    for share in dict.fromkeys(run.share for one in servers.values() for run in one.opened):
        for name, one in servers.items():
            rows += [open_row(name, run) for run in one.opened if run.share == share]
    return [
        *table(head, rows),
        "",
        "Timely: within 250 ms. Lost: broken connections, statuses of failures, and no answer after a long wait. "
        f"visavis's deadline was {deadline_ms:.0f} ms: 250, or three times what a worker takes for a picture.",
    ]


def open_row(name: str, run: OpenRun) -> list[str]:
    found = run.found
    refused = found.refused
    return [
        f"{run.share:g} ×",
        name,
        f"{found.sent / found.seconds:.1f}",
        f"{found.per_second:.1f}",
        f"{found.timely / found.seconds:.1f}",
        " / ".join(found.answered.words()),
        count_of(refused.number),
        " / ".join(refused.words()) if refused.number else "–",
        f"{found.told} of {refused.number}" if refused.number else "–",
        count_of(found.errors + found.waiting),
    ]


def live_table(live: Mapping[str, Sequence[LiveRun]]) -> list[str]:
    """Viewers of one video."""
    head = ["server", "viewers", "slowest sees, fps", "median, fps", "processors busy", "PSS, MB", "daemon alone"]
    rows = [
        [
            name,
            f"{run.viewers}",
            f"{run.least_fps:.1f}",
            f"{run.median_fps:.1f}",
            f"{run.cores:.2f}",
            f"{run.pss_mb:,.0f}",
            f"{run.daemon_cores:.2f}, {run.daemon_mb:.0f} MB" if run.daemon_mb else "",
        ]
        for name, runs in live.items()
        for run in runs
    ]
    return table(head, rows)


def frames_table(frames: Mapping[str, Mapping[str, Latency]]) -> list[str]:
    """Hand-off of a frame."""
    head = ["from Go to Python, us", *(word for size in SIZES for word in (f"{size} p50", "p99"))]
    rows = [[name, *(f"{value:,.0f}" for size in SIZES for value in sizes[size])] for name, sizes in frames.items()]
    return table(head, rows)


def workers_table(workers: Mapping[str, WorkersRun]) -> list[str]:
    """Pictures a second by workers, and how much more of them there can be."""
    head = [
        "workers",
        "pictures/s",
        "CPU ms/picture in workers",
        "beside them",
        "PSS, MB",
        "faces on all test pictures",
    ]
    rows = []
    for name, run in workers.items():
        faces = sum(len(found) for found in run.faces.values())
        spent = [f"{time_ms:.1f}" for time_ms in run.spent]
        rows.append([name, f"{statistics.median(run.rates):.1f}", *spent, f"{run.pss_mb:,.0f}", f"{faces}"])
    return [*table(head, rows), *most_of_two(workers["1"].spent, workers[str(WORKERS)].spent)]


def most_of_two(one: Spent, two: Spent) -> list[str]:
    """Why a second worker is not a second machine, where there is a processor for each worker and no more."""
    if os.cpu_count() != WORKERS:
        return []
    most = WORKERS * one.workers_ms / sum(two)
    return [
        "",
        "One worker has a processor to itself while the daemon and the clients have the other; two share both with",
        f"them. On two processors that is {WORKERS} × {one.workers_ms:.1f} ÷ ({two.workers_ms:.1f} + "
        f"{two.others_ms:.1f}) = {most:.2f} times the pictures of one, if nothing is lost in between.",
    ]


def load_plots(servers: Servers) -> str:
    """The four plots over connections."""
    whole = {name: one.turns.health for name, one in servers.items() if one.turns.health}
    cheap_places = [run.connections for run in next(iter(whole.values()))]
    places = [run.connections for run in next(iter(servers.values())).closed]
    return svg(
        [
            Curves(
                "cheap requests a second",
                "connections",
                cheap_places,
                {name: [run.per_second for run in runs] for name, runs in whole.items()},
            ),
            Curves(
                "pictures a second",
                "connections",
                places,
                {name: [run.found.per_second for run in one.closed] for name, one in servers.items()},
            ),
            Curves(
                "answer to a picture, p50 in ms",
                "connections",
                places,
                {name: [run.found.answered.p50 for run in one.closed] for name, one in servers.items()},
            ),
            Curves(
                "memory of all processes, PSS in MB",
                "connections",
                places,
                {name: [run.memory.pss for run in one.closed] for name, one in servers.items()},
            ),
        ]
    )


def live_plot(live: Mapping[str, Sequence[LiveRun]]) -> str:
    """Pictures a second of the slowest viewer, and memory."""
    places = [run.viewers for run in max(live.values(), key=len)]

    def padded(values: Sequence[float]) -> list[float | None]:
        return [*values, *[None] * (len(places) - len(values))]

    return svg(
        [
            Curves(
                "the slowest viewer's pictures a second",
                "viewers",
                places,
                {n: padded([r.least_fps for r in runs]) for n, runs in live.items()},
            ),
            Curves(
                "memory of all processes, PSS in MB",
                "viewers",
                places,
                {n: padded([r.pss_mb for r in runs]) for n, runs in live.items()},
            ),
        ]
    )

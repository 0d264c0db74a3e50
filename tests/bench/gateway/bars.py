# SPDX-License-Identifier: Apache-2.0
"""The bars of a run: where speed is concerned, the median of ratios of which each is of one round (turns.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from visavis.models.processor import has_dot_products

from tests.bench.gateway.figures import AT, BUSY, CROWD, Figures
from tests.bench.gateway.live import VISAVIS as LIVE_VISAVIS
from tests.bench.gateway.live import LiveRun
from tests.bench.gateway.load import Spread
from tests.bench.gateway.servers import FLASK, GUNICORN, PATIENT_VISAVIS, RIVALS, UVICORN, VISAVIS, WORKERS
from tests.bench.gateway.workers import INT8, WorkersRun
from tests.bench.page import Bar
from tests.bench.turns import known, ratio

Servers = Mapping[str, Figures]
Faces = Sequence[Mapping[str, Any]]
TIMES = {FLASK.name: 40.0, GUNICORN.name: 10.0, UVICORN.name: 4.0}
REFUSED_MS, GOODPUT, PSS_MB = 50.0, 0.95, 250.0
FLAT_MEMORY = 1.1  # memory with the most connections over that with one
PROBE_P50_MS, PROBE_P99_MS = 0.5, 5.0
FPS, MOST_FPS_VIEWERS, VIEWERS_CORES, VIEWERS_MB = 30.0, 29.5, 0.3, 40.0
ROUNDING_FPS = 0.3  # of a count over some seconds
TWO_WORKERS, INT8_TIMES = 1.9, 1.7
INT8_TIMES_WITHOUT = 1.1  # dot products: the form is kept from 1.2 on there, from 1.8 on elsewhere
LEAST_IOU, INT8_IOU = 0.9, 0.5
INT8_SCORE = 0.55  # a face that is only just one in fp32 may be none in INT8, and the other way


def bars(
    servers: Servers, live: Mapping[str, Sequence[LiveRun]], workers: Mapping[str, WorkersRun], deadline_ms: float
) -> list[Bar]:
    """All of them, in the order of the page."""
    return [
        *faces_bars(servers),
        *cheap_bars(servers),
        *picture_bars(servers),
        *probe_bars(servers[PATIENT_VISAVIS.name]),
        *memory_bars(servers[PATIENT_VISAVIS.name]),
        *open_bars(servers[VISAVIS.name], deadline_ms),
        *failures_bars([servers[PATIENT_VISAVIS.name], servers[VISAVIS.name]]),
        *live_bars(live[LIVE_VISAVIS]),
        *workers_bars(workers),
    ]


def faces_bars(servers: Servers) -> list[Bar]:
    ours = servers[VISAVIS.name].faces
    others = [one.faces for one in servers.values()]
    return [
        Bar(
            "faces that a server finds and visavis does not, or the other way",
            sum(different(ours, one) for one in others),
            0,
        )
    ]


def different(some: Faces, others: Faces, least_score: float = 0.0, least_iou: float = LEAST_IOU) -> int:
    """Faces of either side, from a score on, that have none on the other that lies where they do."""

    def missing(these: Faces, those: Faces) -> int:
        sure = [one for one in these if one["score"] >= least_score]
        return sum(all(overlap(a["box"], b["box"]) < least_iou for b in those) for a in sure)

    return missing(some, others) + missing(others, some)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of two boxes x, y, w, h."""
    wide = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    shared = wide * high
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)


def cheap_bars(servers: Servers) -> list[Bar]:
    """Cheap requests a second beside the rivals', /healthz and status."""
    ours = servers[VISAVIS.name]
    found = []
    for name, times in TIMES.items():
        theirs = servers[name]
        health = ratio(ours.health_at(AT).rates, theirs.health_at(AT).rates)
        found.append(Bar(f"`/healthz`, {AT} connections, visavis / {name}", health, times, "times", most=False))
        if ours.turns.status and theirs.turns.status:
            status = ratio(ours.turns.status.rates, theirs.turns.status.rates)
            found.append(Bar(f"status, {AT} connections, visavis / {name}", status, times, "times", most=False))
    return found


def picture_bars(servers: Servers) -> list[Bar]:
    ours = servers[PATIENT_VISAVIS.name].turns.pictures
    least = known(min, [ratio(ours, servers[kind.name].turns.pictures) for kind in RIVALS])
    return [Bar(f"pictures a second, {BUSY} connections, visavis / the best rival", least, 1.0, "times", most=False)]


def probe_bars(patient: Figures) -> list[Bar]:
    found, words = patient.closed_at(BUSY).found, f"`/healthz` while {BUSY} clients send pictures"
    assert found.probes
    return [
        Bar(f"{words}, p50", p50_ms(found.probes), PROBE_P50_MS, "ms"),
        Bar(f"{words}, p99", p99_ms(found.probes), PROBE_P99_MS, "ms"),
        Bar(f"{words}, without an answer", found.failed, 0),
    ]


def p50_ms(times: Spread) -> float:
    """No number where there is no time, or where it is only a least one."""
    return math.nan if times.p50_more or not times.number else times.p50


def p99_ms(times: Spread) -> float:
    """The same."""
    return math.nan if times.p99_more or not times.number else times.p99


def memory_bars(patient: Figures) -> list[Bar]:
    runs = [run for run in patient.closed if run.connections <= 256]
    last = runs[-1]
    return [
        Bar(f"PSS of all processes, {last.connections} connections", last.memory.pss, PSS_MB, "MB"),
        Bar(f"PSS, {last.connections} connections / 1", last.memory.pss / runs[0].memory.pss, FLAT_MEMORY),
    ]


def open_bars(ours: Figures, deadline_ms: float) -> list[Bar]:
    found = [
        Bar(f"accepted pictures at {run.share:g} × the capacity, p99", p99_ms(run.found.answered), deadline_ms, "ms")
        for run in ours.opened
    ]
    easy, most = ours.opened[0], ours.opened[-1]
    answered = easy.found.good / easy.found.sent
    refused = most.found.refused
    return [
        *found,
        Bar(f"answers at {easy.share:g} × the capacity / pictures", answered, GOODPUT, most=False),
        Bar(f"refusals at {most.share:g} ×, p99", p99_ms(refused), REFUSED_MS, "ms"),
        Bar(f"refusals at {most.share:g} × without Retry-After", refused.number - most.found.told, 0),
        Bar(
            f"answers a second at {most.share:g} × / capacity",
            ratio(ours.turns.overload, ours.turns.pictures),
            GOODPUT,
            most=False,
        ),
        Bar(
            "pictures without an answer or a refusal",
            sum(run.found.errors + run.found.waiting for run in ours.opened),
            0,
        ),
    ]


def failures_bars(ours: Sequence[Figures]) -> list[Bar]:
    """What must not be among the answers whose times and numbers are compared."""
    cheap = [run for one in ours for run in (*one.turns.health, one.turns.status) if run]
    pictures = sum(one.turns.failed + sum(run.found.errors for run in one.closed) for one in ours)
    return [
        Bar("cheap requests to visavis without an answer of status 200", sum(run.errors for run in cheap), 0),
        Bar("pictures in closed loops with neither an answer nor a refusal", pictures, 0),
    ]


def live_bars(runs: Sequence[LiveRun]) -> list[Bar]:
    first, crowd = runs[0], max(run for run in runs if run.viewers <= CROWD)
    found = [
        Bar(
            f"{run.viewers} viewers of a 30 fps video, the slowest",
            run.least_fps,
            MOST_FPS_VIEWERS if run.viewers > 16 else FPS - ROUNDING_FPS,
            "fps",
            most=False,
        )
        for run in runs
    ]
    return [
        *found,
        Bar(
            f"processors for {crowd.viewers} viewers, beside those for 1",
            crowd.daemon_cores - first.daemon_cores,
            VIEWERS_CORES,
        ),
        Bar(
            f"memory for {crowd.viewers} viewers, beside that for 1",
            crowd.daemon_mb - first.daemon_mb,
            VIEWERS_MB,
            "MB",
        ),
    ]


def workers_bars(workers: Mapping[str, WorkersRun]) -> list[Bar]:
    one, two = workers["1"], workers[str(WORKERS)]
    found = [Bar(f"pictures a second, {WORKERS} workers / 1", ratio(two.rates, one.rates), TWO_WORKERS, most=False)]
    times = INT8_TIMES if has_dot_products() else INT8_TIMES_WITHOUT
    if INT8 in workers:
        found.append(Bar("pictures a second, INT8 / fp32", ratio(workers[INT8].rates, two.rates), times, most=False))
        lost = sum(
            different(faces, workers[INT8].faces[name], INT8_SCORE, INT8_IOU) for name, faces in two.faces.items()
        )
        found.append(Bar("faces that INT8 and fp32 do not share", lost, 0))
    elif has_dot_products():  # without them INT8 gains little, and nothing is promised
        found.append(Bar("pictures a second, INT8 / fp32 (it was not kept)", 0.0, times, most=False))
    return found

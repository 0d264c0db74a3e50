# SPDX-License-Identifier: Apache-2.0
"""What the article claims, and what is true of it in this run; every figure and verdict is computed from the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.gateway.figures import AT, Figures
from tests.bench.gateway.live import BROADCAST, TUTORIAL, LiveRun
from tests.bench.gateway.live import VISAVIS as LIVE_VISAVIS
from tests.bench.gateway.load import milliseconds
from tests.bench.gateway.servers import FLASK, PATIENT_VISAVIS, VISAVIS
from tests.bench.turns import over, ratio

CLAIMED_TIMES, CLAIMED_MS, CLAIMED_SHARE = 11.0, 21.0, 0.5
FLAT = 0.95  # of the pictures a second that one viewer sees

Servers = Mapping[str, Figures]
Live = Mapping[str, Sequence[LiveRun]]


def claims(servers: Servers, live: Live) -> list[str]:
    """A part for each claim."""
    parts = {
        "Flask 1–1.5 k, Go 15 k requests a second: 11 times": throughput(servers),
        "Median latency from 272 ms to 21 ms": latency(servers),
        "The frame rate stays flat with more users": flat(live),
        "Half the load": half(servers),
    }
    lines: list[str] = []
    for words, sentences in parts.items():
        lines += [f"**“{words}”**", *sentences, ""]
    return lines[:-1]


def verdict(true: bool, otherwise: str = "Not true here") -> str:
    return "True" if true else otherwise


def throughput(servers: Servers) -> list[str]:
    """Requests a second."""
    flask, ours = servers[FLASK.name].health_at(AT), servers[VISAVIS.name].health_at(AT)
    times = ratio(ours.rates, flask.rates)
    pictures = ratio(servers[PATIENT_VISAVIS.name].turns.pictures, servers[FLASK.name].turns.pictures)
    return [
        f"{verdict(times >= CLAIMED_TIMES)} of requests without a picture: {flask.per_second:,.0f} and "
        f"{ours.per_second:,.0f} a second, {times:.0f} times.",
        f"One takes {flask.cpu_us:,.0f} us of processor time in Python, {ours.cpu_us:,.0f} us in Go.",
        f"With a picture it is {pictures:.2f} times: nearly all of the time is the network's, whatever language waits.",
    ]


def latency(servers: Servers) -> list[str]:
    """The median time of an answer."""
    flask, patient, ours = (servers[kind.name] for kind in (FLASK, PATIENT_VISAVIS, VISAVIS))
    alone = patient.closed[0].found.answered.p50
    shown = [run for run in patient.closed if not run.found.answered.p50_more][-1]
    clients, rate = shown.connections, shown.found.per_second
    theirs = flask.closed_at(clients).found.answered
    bounded = ours.closed_at(clients).found
    return [
        f"{verdict(alone <= CLAIMED_MS)} with detection: one client alone waits {milliseconds(alone)} ms, most of it "
        "for the network.",
        f"With {clients} clients the median is {milliseconds(theirs.p50, theirs.p50_more)} ms behind Flask and "
        f"{milliseconds(shown.found.answered.p50)} ms behind visavis when it lets everybody wait.",
        f"Whoever waits for every answer waits connections ÷ throughput, {clients} ÷ {rate:.1f}/s = "
        f"{over(1e3 * clients, rate):,.0f} ms, behind any server.",
        "Only refusing bounds it: with its default deadline visavis answers in "
        f"{milliseconds(bounded.answered.p50)} ms (p99 {milliseconds(bounded.answered.p99)}), and tells "
        f"{bounded.refused.number:,} of {bounded.sent:,} requests within {milliseconds(bounded.refused.p50)} ms to "
        "come again.",
    ]


def flat(live: Live) -> list[str]:
    """Pictures a second over viewers."""
    ours, python, tutorial = live[LIVE_VISAVIS], live[BROADCAST], live[TUTORIAL]
    late = [run.viewers for run in python if run.least_fps < FLAT * python[0].least_fps]
    kept_up = f"Python falls behind from {late[0]} viewers on" if late else "Python kept up as well in this run"
    return [
        f"{verdict(ours[-1].least_fps >= FLAT * ours[0].least_fps)}: the slowest viewer sees {first_and_last(ours)}.",
        f"When each viewer's own generator detects: {first_and_last(tutorial)}.",
        f"When Python detects once for all: {first_and_last(python)}.",
        f"So it is detecting once that makes it flat, and Go comes second: {kept_up}.",
    ]


def first_and_last(runs: Sequence[LiveRun]) -> str:
    first, last = runs[0], runs[-1]
    return f"{first.least_fps:.1f} pictures a second with 1 and {last.least_fps:.1f} with {last.viewers}"


def half(servers: Servers) -> list[str]:
    """Processor time."""
    flask, ours = servers[FLASK.name], servers[PATIENT_VISAVIS.name]
    cheap = servers[VISAVIS.name].health_at(AT).cpu_us / flask.health_at(AT).cpu_us
    alone, many = (over(ours.closed_at(clients).cpu_ms, flask.closed_at(clients).cpu_ms) for clients in (1, AT))
    return [
        f"{verdict(cheap <= CLAIMED_SHARE)} of cheap requests, which take {cheap:.2f} of Flask's processor time; "
        f"{verdict(alone <= CLAIMED_SHARE, 'not true').lower()} of pictures: {alone:.2f} with 1 client, {many:.2f} "
        f"with {AT}.",
        "The network's multiplications are the same for all; what differs lies around them.",
    ]

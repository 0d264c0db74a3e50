# SPDX-License-Identifier: Apache-2.0
"""The clients: wrk for cheap requests, our own gatewayload (Go) for pictures, fixed rates and live pictures."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.gateway.servers import ROOT

GATEWAYLOAD = ROOT / "build" / "gatewayload"
# What a program may take beyond the time that it was told.
LIMIT_S = 60.0
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class Spread(NamedTuple):
    """Times of one kind of answer, ms; `more` says that the value is only a least one."""

    number: int
    p50: float
    p50_more: bool
    p99: float
    p99_more: bool
    most: float

    def words(self) -> tuple[str, str]:
        """p50 and p99 as they stand in tables."""
        return milliseconds(self.p50, self.p50_more), milliseconds(self.p99, self.p99_more)


class Answers(NamedTuple):
    """What closed and open loops got; see figures.go."""

    seconds: float
    sent: int
    within: int
    timely: int
    last: float
    statuses: dict[str, int]
    waiting: int
    answered: Spread
    refused: Spread
    told: int
    failed: int
    probes: Spread | None

    @property
    def per_second(self) -> float:
        """Answers of status 200 until the last one, when none is missing; else those while requests were begun."""
        return self.within / self.seconds if self.waiting or not self.last else self.good / self.last

    @property
    def errors(self) -> int:
        """Broken connections, and answers that are neither 200 nor a refusal; who waited at the end is none of them."""
        return sum(count for status, count in self.statuses.items() if status not in {"200", "429", "503"})

    @property
    def good(self) -> int:
        """All answers of status 200."""
        return self.statuses.get("200", 0)


class Cheap(NamedTuple):
    """What wrk says of cheap requests."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def milliseconds(value: float, more: bool = False) -> str:
    """Three digits, no exponent."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{'> ' if more else ''}{value:,.{digits}f}"


def closed(url: str, picture: Path, connections: int, span_s: float, grace_s: float, probe: str = "") -> Answers:
    """So many clients, each with one picture under way."""
    more = ["-probe", probe] if probe else []
    words = ["-connections", str(connections), *seconds(span_s, grace_s), "-body", str(picture), *more]
    return answers(gatewayload("closed", "-url", url, *words))


def open_loop(url: str, picture: Path, per_second: float, span_s: float, grace_s: float) -> Answers:
    """Pictures at a rate."""
    words = ["-rate", f"{per_second:.3f}", *seconds(span_s, grace_s), "-body", str(picture)]
    return answers(gatewayload("open", "-url", url, *words))


def viewers(url: str, count: int, span_s: float) -> dict[str, Any]:
    """So many readers of one live picture; see viewers.go."""
    warm_up = ["-warm-up", "2s" if count > 1 else "1s"]
    return gatewayload("viewers", "-url", url, "-connections", str(count), *warm_up, *seconds(span_s, 5))


def seconds(span_s: float, grace_s: float) -> list[str]:
    return ["-span", f"{span_s}s", "-grace", f"{grace_s}s"]


def gatewayload(*words: str) -> dict[str, Any]:
    done = subprocess.run([str(GATEWAYLOAD), *words], capture_output=True, text=True, check=False, timeout=LIMIT_S * 3)
    if done.returncode != 0:
        raise ChildProcessError(f"gatewayload {words[0]} failed: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def answers(found: dict[str, Any]) -> Answers:
    spreads = {key: spread(found[key]) for key in ("answered", "refused")}
    probes = spread(found["probes"]) if "probes" in found else None
    return Answers(**{**found, **spreads, "probes": probes})


def spread(found: dict[str, Any]) -> Spread:
    return Spread(*(found[key] for key in ("count", "p50", "p50_more", "p99", "p99_more", "most")))


def cheap(url: str, connections: int, span_s: float) -> Cheap:
    """The same cheap request over and over on each connection, by wrk."""
    threads = min(2, connections)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{span_s:.0f}s", "--latency", "--timeout", "10s", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return wrk_figures(done.stdout)


def wrk_figures(text: str) -> Cheap:
    """Read what wrk prints."""

    def found(pattern: str) -> str:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1] if match else "0"

    errors = sum(
        int(number) for line in re.findall(r"Socket errors: (.*)", text) for number in re.findall(r"\d+", line)
    )
    return Cheap(
        per_second=float(found(r"Requests/sec:\s+([\d.]+)")),
        p50_ms=time_ms(found(r"^\s+50%\s+(\S+)")),
        p99_ms=time_ms(found(r"^\s+99%\s+(\S+)")),
        requests=int(found(r"(\d+) requests in")),
        errors=errors + int(found(r"Non-2xx or 3xx responses: (\d+)")),
    )


def time_ms(text: str) -> float:
    """wrk's way to write a time: 1.23ms."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    return float(match[1]) * UNITS_MS[match[2]] if match else 0.0

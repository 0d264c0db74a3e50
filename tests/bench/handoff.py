# SPDX-License-Identifier: Apache-2.0
"""Hand-off of frames to a Python process: the ring beside what people use today, rounds interleaved in one run.

Latency is from "the frame is ready in the sender" to "a NumPy array of it exists in the receiver", in microseconds.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.ring_handoff import ring_round
from tests.bench.rivals import RIVALS, Pace

SIZES = {"640x480": (480, 640, 3), "1920x1080": (1080, 1920, 3)}
FRAMES, ROUNDS, INTERVAL_S = 400, 3, 0.001
READY_LIMIT_S = 20.0
BARS = {"640x480": 1 / 5, "1920x1080": 1 / 20}  # of the unix stream's p50


def rival_round(name: str, shape: tuple[int, int, int]) -> list[float]:
    """One round of one rival in two fresh processes."""
    send, receive = RIVALS[name]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="handoff-") as folder:
        path = Path(folder) / "socket"
        ready, results = context.Event(), context.SimpleQueue()
        receiver = context.Process(target=receive_into, args=(receive, path, shape, ready, results))
        receiver.start()
        if not ready.wait(READY_LIMIT_S):
            raise TimeoutError(f"the receiver of {name} was not ready after {READY_LIMIT_S} s")
        frame = bytes(shape[0] * shape[1] * shape[2])
        sender = context.Process(target=send, args=(path, frame, Pace(FRAMES, INTERVAL_S)))
        sender.start()
        latencies: list[float] = results.get()
        sender.join()
        receiver.join()
    return latencies


def receive_into(receive: Any, path: Path, shape: tuple[int, int, int], ready: Any, results: Any) -> None:
    """Runs in the receiving process."""
    results.put(receive(path, shape, FRAMES, ready))


def measure() -> dict[str, Any]:
    """All transports at all sizes; p50 and p99 over all rounds, the first tenth of each round left out as warm-up."""
    collected: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for size, shape in SIZES.items():
            for name in ("ring", *RIVALS):
                one = ring_round(shape, FRAMES, INTERVAL_S) if name == "ring" else rival_round(name, shape)
                collected.setdefault(name, {}).setdefault(size, []).extend(one[FRAMES // 10 :])
    table = {name: {size: quantiles(values) for size, values in sizes.items()} for name, sizes in collected.items()}
    return {"rows": table, "bars": [bar(table, size) for size in SIZES]}


def quantiles(values: list[float]) -> dict[str, float]:
    """p50 and p99 in microseconds."""
    ordered = statistics.quantiles(values, n=100)
    return {"p50_us": ordered[49], "p99_us": ordered[98]}


def bar(table: dict[str, Any], size: str) -> dict[str, Any]:
    """The bar: the ring's p50 as a share of the unix stream's."""
    share = table["ring"][size]["p50_us"] / table["unix stream"][size]["p50_us"]
    return {"what": f"hand-off p50, {size}, ring / unix stream", "value": share, "at_most": BARS[size]}

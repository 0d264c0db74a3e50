# SPDX-License-Identifier: Apache-2.0
"""Frames from Go to Python: by gRPC and by REST, as programs commonly do it, and through the ring.

Go sends with grpc-go or net/http (tests/bench/rivals/sender); Python receives with grpcio, or with uvicorn without a
framework. The ring's own ends are those of the product.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.child import Child
from tests.bench.gateway.servers import ROOT
from tests.bench.percentiles import p50_p99
from tests.bench.ring_handoff import ring_round
from tests.bench.transports import as_frame, grpc_receive, latency_us

SENDER = ROOT / "build" / "framesender"
SIZES = {"640x480": (480, 640, 3), "1920x1080": (1080, 1920, 3)}
INTERVAL_S = 0.020
LIMIT_S = 30.0
RING, GRPC, REST = "the ring", "gRPC (grpc-go → grpcio, unix socket)", "REST (net/http → uvicorn, loopback)"


class Latency(NamedTuple):
    """From the finished frame in Go to its array in Python."""

    p50_us: float
    p99_us: float


def measured(frames: int) -> dict[str, dict[str, Latency]]:
    """By transport and size."""
    return {name: {size: latency(name, size, frames) for size in SIZES} for name in (RING, GRPC, REST)}


def latency(name: str, size: str, frames: int) -> Latency:
    """The first tenth is warm-up."""
    taken = ring_round(SIZES[size], frames, INTERVAL_S) if name == RING else rival_round(name, size, frames)
    return Latency(*p50_p99(taken[frames // 10 :]))


def rival_round(name: str, size: str, frames: int) -> list[float]:
    """Latencies in microseconds of one sender and one receiver."""
    receive = grpc_receive if name == GRPC else rest_receive
    ready = multiprocessing.get_context("spawn").Event()
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        path = Path(folder) / "socket"
        with Child(receive, path, SIZES[size], frames, ready) as receiver:
            if not ready.wait(LIMIT_S):
                raise TimeoutError(f"the receiver of {name} was not ready after {LIMIT_S} s")
            port = path.with_suffix(".port")
            where = (
                ["grpc", f"unix:{path}"] if name == GRPC else ["rest", f"http://127.0.0.1:{port.read_text()}/frames"]
            )
            command = [str(SENDER), *where, size, str(frames), f"{INTERVAL_S * 1000:.0f}ms"]
            subprocess.run(command, check=True, timeout=LIMIT_S)
            result: list[float] = receiver.answer(LIMIT_S)
    return result


def rest_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    """Runs in the receiving process: uvicorn answers 204 to each frame until all have come."""
    import uvicorn  # noqa: PLC0415 (only this rival needs it)

    latencies: list[float] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        as_frame(memoryview(body)[8:], shape)
        latencies.append(latency_us(memoryview(body)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    settings = uvicorn.Config(application, port=0, log_level="warning", http="httptools", lifespan="off")
    asyncio.run(serve(uvicorn.Server(settings), path, ready, lambda: len(latencies) == count))
    return latencies


async def serve(server: Any, path: Path, ready: Any, done: Any) -> None:
    """Say the port, and end when all is done."""
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    path.with_suffix(".port").write_text(str(server.servers[0].sockets[0].getsockname()[1]))
    ready.set()
    while not done():
        await asyncio.sleep(0.05)
    server.should_exit = True
    await serving

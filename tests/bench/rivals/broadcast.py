# SPDX-License-Identifier: Apache-2.0
"""Detect once, show to all: a thread captures, detects and encodes; an asyncio server sends each viewer the newest."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cv2
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.bench.rivals.model import drawn, load

CLIP, FPS, THREADS = os.environ["BENCH_CLIP"], 30, 2
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"


class Newest:
    """The newest part; viewers wait for the one after theirs and miss what they are too slow for."""

    def __init__(self) -> None:
        self.part, self.number = b"", 0
        self.changed = asyncio.Condition()

    async def put(self, part: bytes) -> None:
        async with self.changed:
            self.part, self.number = part, self.number + 1
            self.changed.notify_all()

    async def parts(self) -> AsyncIterator[bytes]:
        seen = 0
        while True:
            async with self.changed:
                while self.number == seen:
                    await self.changed.wait()
                seen, part = self.number, self.part
            yield part


def capture(loop: asyncio.AbstractEventLoop, newest: Newest) -> None:
    """Runs in a thread of its own: FPS pictures a second, or as many as the detector can."""
    detector, camera = load(THREADS), cv2.VideoCapture(CLIP)
    due_s = time.monotonic()
    while True:
        found, frame = camera.read()
        if not found:
            camera.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        part = PART + drawn(frame, detector) + b"\r\n"
        asyncio.run_coroutine_threadsafe(newest.put(part), loop).result()
        due_s = max(due_s + 1 / FPS, time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))


newest = Newest()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    threading.Thread(target=capture, args=(asyncio.get_running_loop(), newest), daemon=True).start()
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    return "ok\n"


@app.get("/stream.mjpeg")
async def stream() -> StreamingResponse:
    return StreamingResponse(newest.parts(), media_type="multipart/x-mixed-replace; boundary=frame")

# SPDX-License-Identifier: Apache-2.0
"""FastAPI behind uvicorn: the loop answers, a thread detects, one picture at a time in each process.

Without the semaphore forty threads would detect side by side: as many pictures in memory, and none of them sooner.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse

from tests.bench.rivals.model import MODEL, faces, load

app = FastAPI()
detector = load()
turn = asyncio.Semaphore(1)


@app.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    return "ok\n"


@app.get("/status")
async def status() -> dict[str, Any]:
    return {"device": "box", "model": MODEL, "ready": True}


@app.post("/detect")
async def detect(request: Request) -> dict[str, Any]:
    picture = await request.body()
    async with turn:
        return {"faces": await run_in_threadpool(faces, detector, picture)}

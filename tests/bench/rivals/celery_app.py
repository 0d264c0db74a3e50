# SPDX-License-Identifier: Apache-2.0
"""Flask + Celery + Redis: the web processes hand pictures to workers through a queue and wait for what comes back.

`celery -A tests.bench.rivals.celery_app:queue worker` runs the tasks, gunicorn with threads serves `app`: a thread that
waits for a task costs little. The model is loaded in the worker's processes only.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from flask import Flask, Response, jsonify, request

from tests.bench.rivals.model import MODEL, faces, load

REDIS = os.environ["BENCH_REDIS"]
ANSWER_LIMIT_S = 60

queue = Celery("detect", broker=REDIS, backend=REDIS)
queue.conf.update(
    worker_prefetch_multiplier=1,  # a picture must not wait behind another while the other worker is free
    result_expires=60,
    task_track_started=False,
)
app = Flask(__name__)
loaded: dict[str, Any] = {}


@worker_process_init.connect
def load_the_model(**_: Any) -> None:
    loaded["detector"] = load()


@queue.task
def detect_task(picture: bytes) -> list[dict[str, Any]]:
    return faces(loaded["detector"], picture)


@app.get("/healthz")
def healthz() -> str:
    return "ok\n"


@app.get("/status")
def status() -> Response:
    return jsonify(device="box", model=MODEL, ready=True)


@app.post("/detect")
def detect() -> Response:
    answer = detect_task.delay(request.get_data())
    try:
        return jsonify(faces=answer.get(timeout=ANSWER_LIMIT_S))
    finally:
        answer.forget()

# SPDX-License-Identifier: Apache-2.0
"""The tutorials' live picture: a generator for each viewer captures, detects, draws and encodes by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import cv2
from flask import Flask, Response

from tests.bench.rivals.model import drawn, load

CLIP, FPS = os.environ["BENCH_CLIP"], 30
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"

app = Flask(__name__)
detector = load()


def pictures() -> Iterator[bytes]:
    """Parts of the stream, at most FPS a second."""
    camera = cv2.VideoCapture(CLIP)
    due_s = time.monotonic()
    while True:
        found, frame = camera.read()
        if not found:
            camera.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        yield PART + drawn(frame, detector) + b"\r\n"
        due_s = max(due_s + 1 / FPS, time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))


@app.get("/stream.mjpeg")
def stream() -> Response:
    return Response(pictures(), mimetype="multipart/x-mixed-replace; boundary=frame")


@app.get("/healthz")
def healthz() -> str:
    return "ok\n"

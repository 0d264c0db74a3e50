# SPDX-License-Identifier: Apache-2.0
"""Flask: the same application behind its development server (a thread for each request) and behind gunicorn."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from tests.bench.rivals.model import MODEL, faces, load

app = Flask(__name__)
detector = load()


@app.get("/healthz")
def healthz() -> str:
    return "ok\n"


@app.get("/status")
def status() -> Response:
    return jsonify(device="box", model=MODEL, ready=True)


@app.post("/detect")
def detect() -> Response:
    return jsonify(faces=faces(detector, request.get_data()))

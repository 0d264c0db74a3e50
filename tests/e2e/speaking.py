# SPDX-License-Identifier: Apache-2.0
"""What a device would say over MQTT, for tests of those who listen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from visavis.client import Broker
from visavis.client.connection import Link

from tests.e2e.brokers import publish
from tests.waiting import HANG_S

BEST = {"box": [412.0, 80.5, 96.2, 121.7], "score": 0.97}
KEPT = ("-r", "-q", "1")
STAGES = ("capture", "queue", "handoff", "infer", "publish", "total")
REASONS = ("superseded", "no_slot", "aborted", "abandoned")


def event_id(number: int) -> str:
    return f"01JDG3ZQ3N8XKZ5T0V4W{number:06d}"


def event(number: int, **more: Any) -> str:
    """An event as a device sends it; `number` makes its id."""
    fields = {
        "schema": 1,
        "type": "appeared",
        "id": event_id(number),
        "visit": event_id(0),
        "camera": "door",
        "track": 17,
        "started_at": "2026-11-24T20:00:00.123Z",
        "best": BEST,
    }
    return json.dumps(fields | more)


def stats(fps: float) -> str:
    camera = {
        "fps_captured": 30.0,
        "fps_inferred": fps,
        "dropped": dict.fromkeys(REASONS, 0),
        "latency_ms_p50": dict.fromkeys(STAGES, 1.0),
        "latency_ms_p99": dict.fromkeys(STAGES, 2.0),
    }
    return json.dumps({"schema": 1, "cameras": {"door": camera}, "memory_bytes": 1, "temperature_c": 41.5})


def info(version: str = "0.1.0", model: str = "centerface", cameras: Sequence[str] = ("door",)) -> str:
    fields = {"version": version, "model": model, "backend": "onnxruntime", "precision": "fp32"}
    more = {"schema": 1, "fallback": False, "workers": 1, "cameras": cameras, "url": "", "brokers": {"mqtt": True}}
    return json.dumps(fields | more)


def introduce(port: int, device: str, *, online: bool = True) -> None:
    """Say all that a device with one camera says at its start."""
    for topic, payload in {
        "status": "online" if online else "offline",
        "info": info(),
        "door/status": "online" if online else "offline",
        "door/faces": "2",
        "door/occupied": "ON",
        "door/zone/step/faces": "1",
    }.items():
        publish(port, f"visavis/{device}/{topic}", payload, *KEPT)


def begin_session(port: int, session: str, device: str = "porch") -> None:
    """Let the broker know the session, as a program does that read events before."""
    with Link(Broker("127.0.0.1", port), {f"visavis/{device}/events": 1}, lambda _: None, session) as link:
        link.wait_subscribed(HANG_S)

# SPDX-License-Identifier: Apache-2.0
"""Follow the detections of a device, live, one line each."""

from __future__ import annotations

import argparse
import json
from urllib.parse import urlsplit

from visavis.client import Detections, subscribe
from visavis.errors import VisavisError
from visavis.signals import stop_on_signals
from visavis.terminal import complain

EXAMPLE = "  visavis watch --host porch.local --camera door\n  visavis watch --json | jq .faces"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis watch` takes."""
    parser.add_argument("--host", default="127.0.0.1", help="the broker (default 127.0.0.1), or a URL mqtt://host:port")
    parser.add_argument("--port", type=int, default=1883, help="the broker's port (default 1883)")
    parser.add_argument("--prefix", default="visavis", help="topic prefix (default visavis)")
    parser.add_argument("--device", default="+", help="device id (default: all)")
    parser.add_argument("--camera", default="+", help="camera id (default: all)")
    parser.add_argument("--json", action="store_true", help="print the messages as they are")


def run(args: argparse.Namespace) -> int:
    """Print until Ctrl-C: exit 0; 1 when the broker cannot be reached."""
    host, port = broker_address(args.host, args.port)
    try:
        with stop_on_signals() as stop:
            for detections in subscribe(host, port, args.prefix, device=args.device, camera=args.camera, stop=stop):
                print(json.dumps(detections.payload) if args.json else line(detections), flush=True)
    except VisavisError as error:
        complain(str(error))
        return 1
    return 0


def broker_address(host: str, port: int) -> tuple[str, int]:
    """Split mqtt://host:port; a plain host keeps the port that was given beside it."""
    if "://" not in host:
        return host, port
    url = urlsplit(host)
    return url.hostname or "127.0.0.1", url.port or port


def line(detections: Detections) -> str:
    """`20:00:00.123  porch/door  2 faces  13.4 ms  [412, 80, 96, 122] 0.97  ...`."""
    payload = detections.payload
    faces = "  ".join(f"{[round(v) for v in face['box']]} {face['score']:.2f}" for face in payload["faces"])
    count = len(payload["faces"])
    word = "face " if count == 1 else "faces"
    clock = payload["captured_at"][11:23]
    total = payload["latency_ms"]["total"]
    return f"{clock}  {payload['device']}/{payload['camera']}  {count} {word}  {total:5.1f} ms  {faces}"

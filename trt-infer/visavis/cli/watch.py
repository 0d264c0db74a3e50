# SPDX-License-Identifier: Apache-2.0
"""Follow the detections of a device, live, one line each."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

from visavis.client import Broker, Detections, subscribe
from visavis.signals import stop_on_signals
from visavis.terminal import complain
from visavis.topics_gen import topic_level

EXAMPLE = """  visavis watch --host porch.local --camera door
  visavis watch --json | jq .faces
  visavis watch --host mqtts://broker.example --user viewer --password-file secret.txt"""
PORTS = {"mqtt": 1883, "mqtts": 8883}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis watch` takes."""
    parser.add_argument("--host", default="127.0.0.1", help="the broker (default 127.0.0.1), or mqtt(s)://host:port")
    parser.add_argument("--port", type=port, help="the broker's port (default 1883, 8883 for mqtts://)")
    parser.add_argument("--user", default="", help="user name at the broker")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="holds the password of --user")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificates that may sign the broker's")
    parser.add_argument("--prefix", type=level, default="visavis", help="topic prefix (default visavis)")
    parser.add_argument("--device", type=level, default="+", help="device id (default: all)")
    parser.add_argument("--camera", type=level, default="+", help="camera id (default: all)")
    parser.add_argument("--json", action="store_true", help="print the messages as they are")


def run(args: argparse.Namespace) -> int:
    """Print until Ctrl-C: exit 0; 1 when the broker cannot be reached or refuses, 2 for an address that is none."""
    logging.basicConfig(level=logging.WARNING, format="visavis: %(message)s")
    try:
        broker = broker_of(args)
    except ValueError:
        complain(f"--host {args.host} is no address: write a host, or mqtt://host:port")
        return 2
    with stop_on_signals() as stop:
        for detections in subscribe(broker, args.prefix, device=args.device, camera=args.camera, stop=stop):
            print(json.dumps(detections.payload) if args.json else line(detections), flush=True)
    return 0


def broker_of(args: argparse.Namespace) -> Broker:
    """Where the broker is: --host may be a host or a URL; --port wins over the URL's.

    Raises:
        ValueError: not such an address.
    """
    url = urlsplit(args.host if "://" in args.host else f"mqtt://{args.host}")
    if url.scheme not in PORTS or not url.hostname:
        raise ValueError(args.host)
    at = args.port or url.port or PORTS[url.scheme]
    return Broker(url.hostname, at, args.user, args.password_file, tls=url.scheme == "mqtts", ca=args.ca)


def port(text: str) -> int:
    """Read a port."""
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65535")
    return int(text)


def level(text: str) -> str:
    """Read a part of a topic."""
    try:
        return topic_level(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def line(detections: Detections) -> str:
    """`20:00:00.123  porch/door  2 faces  13.4 ms  [412, 80, 96, 122] 0.97  ...`."""
    payload = detections.payload
    faces = "  ".join(f"{[round(v) for v in face['box']]} {face['score']:.2f}" for face in payload["faces"])
    count = len(payload["faces"])
    word = "face " if count == 1 else "faces"
    clock = payload["captured_at"][11:23]
    total = payload["latency_ms"]["total"]
    return f"{clock}  {payload['device']}/{payload['camera']}  {count} {word}  {total:5.1f} ms  {faces}"

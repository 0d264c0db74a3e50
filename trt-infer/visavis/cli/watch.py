# SPDX-License-Identifier: Apache-2.0
"""Follow devices live: a table that renews itself, or one line for each frame or event."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event as Flag

from visavis.cli.at_broker import add_broker_arguments, broker_of, level
from visavis.client import Broker, Detections, Device, Event, Reading
from visavis.signals import ended_anyway, stop_on_signals
from visavis.terminal import ascii_json, plain
from visavis.topics_gen import detections_topic, events_topic

EXAMPLE = """  visavis watch
  visavis watch --host porch.local --camera door --lines
  visavis watch --events
  visavis watch --json | jq .faces
  visavis watch --host mqtts://broker.example --user viewer --password-file secret.txt"""

# How long the end may take.
END_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis watch` takes."""
    add_broker_arguments(parser)
    parser.add_argument("--camera", type=level, default="+", help="only the camera with this id (default: all)")
    parser.add_argument(
        "--events", action="store_true", help="print a line for each event: appeared, entered, left, ..."
    )
    parser.add_argument("--lines", action="store_true", help="print a line for each frame, as without a terminal")
    parser.add_argument("--json", action="store_true", help="print the MQTT messages, one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print until Ctrl-C: exit 0; 1 when the broker cannot be reached or refuses, 2 for an address that is none."""
    logging.basicConfig(level=logging.WARNING, format="visavis: %(message)s")
    broker = broker_of(args)
    # Who reads what we print may hang, and we in the middle of a line.
    with stop_on_signals() as stop, ended_anyway(stop, END_S, lambda: 0):
        _way_to_show(args)(args, broker, stop)
    return 0


def _way_to_show(args: argparse.Namespace) -> Callable[[argparse.Namespace, Broker, Flag], None]:
    if args.json or args.events or args.lines or not sys.stdout.isatty():
        return _print_lines
    from visavis.cli.watch_table import show_table  # noqa: PLC0415 (rich takes longer to load than all the rest)

    return show_table


def _print_lines(args: argparse.Namespace, broker: Broker, stop: Flag) -> None:
    for reading in _readings(args, broker, stop):
        told = reading.message.payload.decode(errors="replace")
        print(ascii_json(told) if args.json else plain(line(reading)), flush=True)


def _readings(args: argparse.Namespace, broker: Broker, stop: Flag) -> Iterator[Reading]:
    device = Device(args.device, broker, args.prefix)
    if not args.events:
        return device.readings(detections_topic(args.prefix, args.device, args.camera), stop=stop)
    events = device.readings(events_topic(args.prefix, args.device), qos=1, stop=stop)
    # Whoever clears a retained message publishes an empty one.
    return (one for one in events if one.value is not None and args.camera in ("+", one.value.camera))


def line(reading: Reading) -> str:
    """One frame or one event as a line for people."""
    if isinstance(reading.value, Event):
        return event_line(reading.levels["device"], reading.value)
    return frame_line(reading.value)


def frame_line(seen: Detections) -> str:
    """`21:00:00.123+01:00  porch/door  2 faces  13.4 ms  [412, 80, 96, 122] 0.97  ...`."""
    faces = "  ".join(f"{[round(v) for v in face.box]} {face.score:.2f}" for face in seen.faces)
    count = len(seen.faces)
    word = "face " if count == 1 else "faces"
    where = f"{seen.device}/{seen.camera}"
    return f"{clock(seen.captured_at)}  {where}  {count} {word}  {seen.latency_ms.total:5.1f} ms  {faces}"


def clock(at: datetime) -> str:
    """The time where this program runs, with how far that is from UTC: devices may be elsewhere."""
    return at.astimezone().isoformat(timespec="milliseconds")[11:]


def event_line(device: str, event: Event) -> str:
    """`21:00:09.456+01:00  porch/door  face 17 left step after 9.3 s`."""
    at = clock(event.ended_at or event.started_at)
    where = f" {event.zone or event.line}" if event.zone or event.line else ""
    way = f" {event.direction}" if event.direction else ""
    after = "" if event.dwell_ms is None else f" after {event.dwell_ms / 1000:.1f} s"
    return f"{at}  {device}/{event.camera}  face {event.track} {event.type}{where}{way}{after}"

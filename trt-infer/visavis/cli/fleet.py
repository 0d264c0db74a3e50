# SPDX-License-Identifier: Apache-2.0
"""Report once on all devices of a broker: which are online, which version and model they run, and how well."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from time import monotonic
from typing import Any

from visavis import ENDED_BY_CTRL_C
from visavis.cli.arguments import amount
from visavis.cli.at_broker import add_broker_arguments, broker_of
from visavis.client import Broker, Fleet, State
from visavis.signals import stop_on_signals
from visavis.terminal import complain, plain

EXAMPLE = """  visavis fleet
  visavis fleet --host mqtts://broker.example --user viewer --password-file secret.txt
  visavis fleet --json | jq -r '.[] | select(.online | not) | .device'"""
# A device tells its figures every ten seconds.
WAIT_S = 12.0
PIPE_COLUMNS = 200
COLUMNS = ("device", "", "version", "model", "runs on", "cameras", "frames/s", "°C", "last heard")

Devices = dict[str, State]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis fleet` takes."""
    add_broker_arguments(parser)
    parser.add_argument(
        "--wait",
        type=amount,
        default=WAIT_S,
        metavar="S",
        help=f"seconds to listen; devices report every 10 s (default {WAIT_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list with an object for each device")


def run(args: argparse.Namespace) -> int:
    """Print the report: exit 0 when every device and camera is there, 1 when one is not or none was heard.

    Ctrl-C ends the wait: what was heard so far is printed, and the exit code is 130.
    """
    logging.basicConfig(level=logging.WARNING, format="visavis: %(message)s")
    broker = broker_of(args)
    with stop_on_signals() as stop:
        devices = _heard(args, broker, stop)
    rows = [row(name, device) for name, device in devices.items()]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        _print_table(rows)
    if stop.is_set():
        return ENDED_BY_CTRL_C
    if not rows:
        complain(f"no device was heard at {broker.where}: is one on, are its mqtt.url and mqtt.prefix this broker's?")
    return 0 if rows and all(one["online"] and not one["cameras_offline"] for one in rows) else 1


def _heard(args: argparse.Namespace, broker: Broker, stop: threading.Event) -> Devices:
    """What is known after the wait; sooner when each device that is there has told its figures.

    Raises:
        Silent: nothing is known, for what is at that port has not even answered.
    """
    with Fleet(broker, args.prefix, args.device, detections=False) as fleet:
        devices = _listen(fleet, stop, args.wait, _progress(args.json))
        if not devices and not stop.is_set():
            fleet.wait_subscribed(0)
        return devices


def _listen(fleet: Fleet, stop: threading.Event, wait_s: float, show: Callable[[str], None]) -> Devices:
    end_s = monotonic() + wait_s
    devices: Devices = {}
    while monotonic() < end_s and not stop.is_set() and not _all_told(devices):
        fleet.wait(0.2)
        devices = fleet.devices()
        show(f"{len(devices)} devices heard, {sum(one.stats is not None for one in devices.values())} with figures")
    return devices


def _all_told(devices: Devices) -> bool:
    return bool(devices) and all(map(_told, devices.values()))


def _told(device: State) -> bool:
    """Whether a device has said what it is, how each of its cameras is and, if it is there, its figures."""
    if device.info is None or (device.stats is None and device.online is not False):
        return False
    return all(name in device.cameras and device.cameras[name].online is not None for name in device.info.cameras)


def _progress(quiet: bool) -> Callable[[str], None]:
    from tqdm import tqdm  # noqa: PLC0415 (only here is anything drawn)

    bar = tqdm(bar_format="{desc} ({elapsed})", leave=False, disable=True if quiet else None)

    def show(words: str) -> None:
        bar.set_description_str(words)

    return show


def row(name: str, device: State) -> dict[str, Any]:
    """What the report says of a device; None for what it has not said."""
    info, stats = device.info, device.stats
    away = device.cameras_away
    return {
        "device": name,
        "online": bool(device.online),
        "version": info and info.version,
        "model": info and info.model,
        "backend": info and " ".join(filter(None, (info.backend, info.precision))),
        "fallback": info and info.fallback,
        "url": info and info.url,
        "cameras": sorted({*device.cameras, *away}),
        "cameras_offline": away,
        "fps_inferred": round(sum(one.fps_inferred for one in stats.cameras.values()), 1) if stats else None,
        "temperature_c": stats and stats.temperature_c,
        "seen_at": device.seen_at and device.seen_at.isoformat(timespec="seconds"),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich import box  # noqa: PLC0415 (rich takes longer to load than all the rest)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for one in rows:
        table.add_row(*(Text(plain(cell)) for cell in _cells(one)))
    if rows:
        # A pipe has no width: nothing is cut there.
        Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS).print(table)


def _cells(one: dict[str, Any]) -> list[str]:
    there = len(one["cameras"]) - len(one["cameras_offline"])
    shown = [one["version"], one["model"], one["backend"], f"{there} of {len(one['cameras'])}", one["fps_inferred"]]
    state = "online" if one["online"] else "offline"
    return [
        one["device"],
        state,
        *("–" if value is None else str(value) for value in [*shown, one["temperature_c"]]),
        _ago(one["seen_at"]),
    ]


def _ago(seen_at: str | None) -> str:
    if seen_at is None:
        return "not now"
    seconds = (datetime.now(timezone.utc) - datetime.fromisoformat(seen_at)).total_seconds()
    return f"{max(seconds, 0):.0f} s ago"

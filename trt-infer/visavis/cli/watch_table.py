# SPDX-License-Identifier: Apache-2.0
"""The table of `visavis watch`: one row for each camera of each device, renewed in place."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from visavis.client import Broker, Camera, Fleet, State

REFRESH_S = 0.25
COLUMNS = ("device", "camera", "", "faces", "somebody there", "in zones", "frames/s", "camera to result")
NUMBERS = ("faces", "frames/s", "camera to result")
# On a terminal of fewer columns, as on a phone, there is room for these alone.
WIDE = 80
NARROW = ("device", "camera", "", "faces")

Row = list[Text | str]


def show_table(args: argparse.Namespace, broker: Broker, stop: threading.Event) -> None:
    """Renew the table until `stop` is set.

    Raises:
        BrokerUnreachable: nothing answers.
        BrokerRefused: the broker wants another user or password.
    """
    with (
        Fleet(broker, args.prefix, args.device) as fleet,
        Live(console=Console(), auto_refresh=False, screen=False) as live,
    ):
        while not stop.wait(REFRESH_S):
            live.update(picture(fleet.devices(), broker.where, args.camera, live.console.width), refresh=True)


def picture(devices: dict[str, State], where: str, camera: str = "+", width: int = WIDE) -> Group:
    """The table, as much of it as `width` columns hold, and what stands under it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [number for number, heading in enumerate(COLUMNS) if width >= WIDE or heading in NARROW]
    for number in shown:
        table.add_column(COLUMNS[number], justify="right" if COLUMNS[number] in NUMBERS else "left", overflow="fold")
    for row in (row for name, device in devices.items() for row in _rows(name, device, camera)):
        table.add_row(*(row[number] for number in shown))
    nobody = (
        ""
        if devices
        else f"nothing heard yet from {where}: is a device on, are its [mqtt] url and prefix this broker's?"
    )
    return Group(table, Text(nobody or f"{where}, Ctrl-C ends", style="dim"))


def _rows(name: str, device: State, camera: str) -> Iterator[Row]:
    shown = {key: value for key, value in sorted(device.cameras.items()) if camera in ("+", key)}
    if device.online is False or not shown:
        yield [name, "", state_word(device.online), *[""] * 5]
        return
    for key, seen in shown.items():
        yield [name, key, *_cells(seen)]
        name = ""


def _cells(camera: Camera) -> Row:
    newest = camera.detections
    if camera.online and camera.detecting is False:
        return [Text("not detecting", style="dim"), "–", "–", "", f"{camera.detected_fps:.1f}", "–"]
    zones = "  ".join(f"{zone} {faces}" for zone, faces in sorted(camera.zones.items()))
    return [
        state_word(camera.online),
        "–" if camera.faces is None else str(camera.faces),
        Text("yes", style="bold") if camera.occupied else Text("no", style="dim"),
        zones,
        f"{camera.detected_fps:.1f}",
        f"{newest.latency_ms.total:.1f} ms" if newest else "–",
    ]


def state_word(online: bool | None) -> Text:
    """A word that also speaks without its colour."""
    if online is None:
        return Text("unknown", style="dim")
    return Text("online", style="green") if online else Text("offline", style="bold red")

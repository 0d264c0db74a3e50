# SPDX-License-Identifier: Apache-2.0
"""The table of `visavis watch`: one row for each camera of each device, renewed in place."""

from __future__ import annotations

import argparse
import threading

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from visavis.client import Broker, Camera, Fleet, State

REFRESH_S = 0.25
COLUMNS = ("device", "camera", "", "faces", "somebody there", "in zones", "frames/s", "camera to broker")


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
            live.update(picture(fleet.devices(), broker.where, args.camera), refresh=True)


def picture(devices: dict[str, State], where: str, camera: str = "+") -> Group:
    """The table and what stands under it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in COLUMNS:
        table.add_column(heading, justify="right" if heading in ("faces", "frames/s", "camera to broker") else "left")
    for name, device in devices.items():
        _add_device(table, name, device, camera)
    nobody = (
        ""
        if devices
        else f"nothing heard yet from {where}: is a device on, are its [mqtt] url and prefix this broker's?"
    )
    return Group(table, Text(nobody or f"{where}, Ctrl-C ends", style="dim"))


def _add_device(table: Table, name: str, device: State, camera: str) -> None:
    shown = {key: value for key, value in sorted(device.cameras.items()) if camera in ("+", key)}
    if device.online is False or not shown:
        table.add_row(name, "", state_word(device.online), *[""] * 5)
        return
    for key, seen in shown.items():
        table.add_row(name, key, *_cells(seen))
        name = ""


def _cells(camera: Camera) -> list[Text | str]:
    newest = camera.detections
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

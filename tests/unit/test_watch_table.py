# SPDX-License-Identifier: Apache-2.0
"""The table of `visavis watch`, drawn for terminals of several widths."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from visavis.cli.watch_table import WIDE, picture
from visavis.client import Camera, State

DEVICES = {"porch-of-the-old-house": State(online=True, cameras={"door": Camera(online=True, faces=2, occupied=True)})}


def drawn(width: int, devices: dict[str, State] = DEVICES) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(picture(devices, "127.0.0.1:1883", "+", width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_wide_terminal_shows_all_there_is() -> None:
    assert all(word in drawn(120) for word in ("somebody there", "in zones", "frames/s", "camera to result"))


@pytest.mark.parametrize("width", [40, 50, WIDE, 100])
def test_nothing_is_cut_where_there_is_little_room(width: int) -> None:
    shown = drawn(width)
    assert "…" not in shown
    assert all(word in shown for word in ("device", "camera", "door", "online", "faces"))


@pytest.mark.parametrize(("detecting", "told"), [(None, True), (True, True), (False, False)])
def test_faces_are_told_unless_nobody_looks_for_them(detecting: bool | None, told: bool) -> None:
    camera = Camera(online=True, detecting=detecting, faces=42, occupied=True, zones={"step": 42})
    shown = drawn(120, {"porch": State(online=True, cameras={"door": camera})})
    assert ("42" in shown, "yes" in shown, "not detecting" in shown) == (told, told, not told)

# SPDX-License-Identifier: Apache-2.0
"""The lines that `visavis run` shows."""

from __future__ import annotations

import pytest
from visavis.figures import broker_lines, camera_line, engine_lines, heat_lines, part_lines
from visavis.terminal import rows

ONLINE = {
    "id": "door", "state": "online", "detecting": True, "fps": 30.0, "fps_inferred": 29.8, "faces": 2,
    "frames": {"dropped": {}}, "latency_ms": {"total": {"p50": 13.4, "p99": 19.0}},
}  # fmt: skip


def test_a_broker_that_is_away_has_a_line_with_the_remedy() -> None:
    why = "connect to mqtt://127.0.0.1:1: connection refused: check mqtt.url, and that the broker runs"
    assert broker_lines({"enabled": True, "connected": False, "error": why}) == [f"broker      away     {why}"]


@pytest.mark.parametrize("error", ["open v4l2 source: ...: plug the camera in", ""])
def test_a_camera_that_is_lost_tells_why_in_the_place_of_its_figures(error: str) -> None:
    assert camera_line({"id": "door", "state": "lost", "error": error}) == f"door        lost     {error}".rstrip()


def test_the_longest_name_of_a_camera_stands_apart_from_its_state() -> None:
    name = "a-camera-by-the-garden-gate"
    assert camera_line({"id": name, "state": "lost", "error": "gone"}) == f"{name} lost     gone"
    assert camera_line({**ONLINE, "id": name}).startswith(f"{name} online    30.0 fps, ")


def test_a_camera_tells_its_faces_while_somebody_looks_for_them() -> None:
    assert "   2 faces  " in camera_line(ONLINE)
    assert "   – faces  " in camera_line({**ONLINE, "detecting": False})


@pytest.mark.parametrize("broker", [{"enabled": False, "connected": False}, {"enabled": True, "connected": True}])
def test_a_broker_that_is_there_or_not_wanted_has_none(broker: dict[str, bool]) -> None:
    assert broker_lines(broker) == []


def test_an_engine_has_a_line_while_it_is_built_and_when_it_cannot_be() -> None:
    built = {"state": "building", "model": "centerface", "precision": "fp16", "percent": 42, "phase": "Timing layers"}
    assert engine_lines(built) == ["engine      building  centerface fp16  42 %  Timing layers"]
    assert engine_lines({**built, "state": "failed", "error": "no GPU"}) == ["engine      failed    no GPU"]
    assert engine_lines(None) == []


def test_heat_has_a_line_while_it_slows_the_workers() -> None:
    hot = {"temperature_c": 81.24, "slowed": True, "share": 0.63}
    assert heat_lines(hot) == ["heat        81.2 °C   workers work 63 % of the time until it is cooler"]
    assert heat_lines({"slowed": True, "share": 0.99}) == [
        "heat        unknown   workers work 99 % of the time until it is cooler"
    ]
    assert heat_lines({**hot, "slowed": False, "share": 1}) == []


def test_a_part_has_a_line_while_something_is_wrong_with_it() -> None:
    full = "history cannot use its disk, recent events stay in memory: no space left on device"
    assert part_lines([{"name": "history", "error": full}, {"name": "orders"}]) == [f"fault       history: {full}"]


@pytest.mark.parametrize(("lines", "expected"), [([], 0), (["", "a" * 80], 2), (["a" * 81, "b"], 3)])
def test_long_lines_take_the_rows_that_a_terminal_gives_them(lines: list[str], expected: int) -> None:
    assert rows(lines, columns=80) == expected

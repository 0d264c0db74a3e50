# SPDX-License-Identifier: Apache-2.0
"""`visavis doctor --hardware`: what is in the report, and that it tells nothing about whose machine it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from visavis.hardware import board, personal
from visavis.hardware.report import MARK, lines

from tests.unit.command import visavis

PRIVATE = {
    "a MAC": ("link/ether dc:a6:32:01:02:03", "dc:a6"),
    "an address": ("inet 192.168.1.17/24", "192.168"),
    "an IPv6 address": ("inet6 fe80::dea6:32ff:fe01:203/64", "fe80"),
    "a whole IPv6 address": ("2001:db8:0:0:0:0:0:17", "2001:db8"),
    "a serial number": ("Serial\t\t: 10000000a1b2c3d4", "a1b2c3d4"),
    "another": ("SerialNumber=AB12", "AB12"),
    "a home": ("/home/jane/visavis", "jane"),
    "a UUID": ("PARTUUID=4c0c2d52-0f53-4b0c-bb5f-7f6c1f0d3a11", "4c0c2d52"),
    "a mail address": ("jane@example.org", "example.org"),
    "the host": ("Nov 26 porchbox kernel:", "porchbox"),
}


@pytest.mark.parametrize(("text", "secret"), PRIVATE.values(), ids=PRIVATE)
def test_what_tells_whose_machine_it_is_is_taken_out(text: str, secret: str) -> None:
    assert secret not in json.dumps(personal.without({"a": [text]}, ["porchbox"]))


def test_an_address_in_a_key_is_taken_out_too() -> None:
    assert personal.without({"dc:a6:32:01:02:03": 1}, []) == {"<MAC>": 1}


@pytest.mark.parametrize(
    "text",
    [
        "Linux 6.12.34+rpt-rpi-2712",
        "1920x1080",
        "std::bad_alloc",
        "libopencv_core.so.410",
        "12:05:59",
        "fp16: 11.82 ms",
    ],
)
def test_what_tells_what_machine_it_is_stays(text: str) -> None:
    assert personal.without(text, ["porchbox"]) == text


def test_every_thermal_zone_that_can_be_read_is_told(tmp_path: Path) -> None:
    zones = {"cpu-thermal": "48250\n", "GPU-therm": "", "soc": "-1000\n", "PMIC-Die": "100000\n", "x": "151000\n"}
    for number, (kind, text) in enumerate(zones.items()):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(text)
    assert board.heat(tmp_path) == {"thermal_zone0 cpu-thermal": 48.25, "thermal_zone2 soc": -1.0}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What the command says, and the file that it writes."""
    file = tmp_path_factory.mktemp("hardware") / "report.txt"
    answer = visavis("doctor", "--hardware", "--short", "--output", file)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout, file.read_text()


def numbers(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.partition(MARK)[2])
    return found


def test_one_file_has_it_for_people_and_for_programs(report: tuple[str, str]) -> None:
    said, text = report
    found = numbers(text)
    assert text.startswith("\n".join(lines(found)))
    assert "reading 1 cameras" in said or "reading 2 cameras" in said, "progress is shown"
    assert found["system"]["packages"]["onnxruntime"][0].isdigit()
    assert found["libraries"]["opencv"], "the daemon's OpenCV is found"
    assert found["inference"][0]["ms_p50"] > 0
    assert all("ms_p50" in one or one["error"] for one in found["inference"])


def test_cameras_are_read_and_workers_killed(report: tuple[str, str]) -> None:
    found = numbers(report[1])["capture"]
    assert found["cameras"]["demo"]["state"] == "online"
    assert found["cameras"]["demo"]["frames"]["inferred"] > 0
    assert found["handoff_to_stream"] > 0
    assert all(found["memory_mib"][part] > 10 for part in ("daemon", "worker"))
    kills = found["kills"]
    assert kills["kills"] >= 1
    assert (kills["without_recovery"], kills["adds_up"]) == (0, True)


def test_bench_measures_the_model_and_the_demo_and_kills_nobody() -> None:
    answer = visavis("bench", "--seconds", "1", "--rounds", "2", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["inference"][0]["ms_p50"] > 0
    assert found["capture"]["cameras"]["demo"]["frames"]["inferred"] > 0
    assert "kills" not in found["capture"]


def test_this_machine_is_not_named(report: tuple[str, str]) -> None:
    assert not [name for name in personal.names() if name in report[1]]


def test_a_file_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    answer = visavis("doctor", "--hardware", "--short", "--output", tmp_path / "missing" / "report.txt")
    assert answer.returncode == 1
    assert "cannot be written" in answer.stderr
    assert answer.stdout == ""


def test_a_report_for_which_there_is_no_room_is_named_with_the_option_that_moves_it() -> None:
    answer = visavis("doctor", "--hardware", "--short", "--output", "/dev/full")
    said = answer.stderr.splitlines()[-1]
    another = "make room there, or name another with --output"
    assert (answer.returncode, said) == (1, f"visavis: /dev/full cannot be written, No space left on device: {another}")

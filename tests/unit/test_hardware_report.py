# SPDX-License-Identifier: Apache-2.0
"""What a report finds on boards that are not here: nodes of image processors, drivers and programs that hang."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from visavis import ENDED_BY_CTRL_C, doctor
from visavis.hardware import cameras, inference, personal
from visavis.hardware.capture import without_settings
from visavis.hardware.report import MARK, _sources, cleaned, lines, tried
from visavis.programs import asked

from tests.unit.command import PROGRAM, visavis
from tests.waiting import HANG_S, until

YUYV = int.from_bytes(b"YUYV", "little")
CAMERA = cameras.CAPTURE | cameras.STREAMING
# Drivers' names and abilities as in the kernel's sources of each board.
NODES = {
    "uvcvideo": ("uvcvideo", CAMERA, False),
    "a Pi 5's receiver": ("rp1-cfe", CAMERA | cameras.MEDIA_CONTROLLED, True),
    "any other receiver": ("some-isp", CAMERA | cameras.MEDIA_CONTROLLED, True),
    "a Pi 4's scaler": ("bcm2835-isp", CAMERA, True),
    "a Pi 4's receiver": ("unicam", CAMERA, True),
    "a Jetson's receiver": ("tegra-video", CAMERA, True),
    "vivid": ("vivid", CAMERA, False),
}


def driver_of(name: str, able: int) -> Any:
    """A driver in place of the kernel's."""

    def ioctl(_node: int, request: int, asked_for: Any) -> None:
        if request == cameras.QUERYCAP:
            asked_for.driver, asked_for.card = name.encode(), b"caf\xc3"  # a name that is cut inside a letter
            asked_for.capabilities = asked_for.device = able | cameras.DEVICE_CAPS
        elif asked_for.index:
            raise OSError(22, "the end of the list")
        elif request == cameras.ENUM_FMT:
            asked_for.pixels = YUYV
        else:
            asked_for.type, asked_for.numbers = cameras.DISCRETE, (ctypes.c_uint32 * 6)(640, 480)

    return ioctl


@pytest.mark.parametrize(("name", "able", "part"), NODES.values(), ids=NODES)
def test_a_part_of_an_image_processor_is_no_camera(
    name: str, able: int, part: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "video0"
    node.touch()
    monkeypatch.setattr("fcntl.ioctl", driver_of(name, able))
    found = cameras._camera(node)
    assert found
    assert (found["driver"], found["part"], found["formats"]) == (name, part, {"YUYV": ["640x480"]})
    pi = ["raspberrypi,5-model-b", "brcm,bcm2712"]
    assert _sources([found], pi) == {"csi0": "csi:0"} | ({} if part else {"video0": f"v4l2:{node}"})


@pytest.mark.parametrize("part", [True, False])
def test_doctor_knows_a_camera_from_a_part_of_an_image_processor(part: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"node": "/dev/video19", "card": "pispbe", "driver": "x", "part": part, "formats": {}}
    monkeypatch.setattr(cameras, "cameras", lambda: [one])
    assert doctor.cameras().state == ("warn" if part else "ok")
    monkeypatch.setattr(cameras, "cameras", lambda: [one, {"node": "/dev/video2", "error": "its driver is broken"}])
    assert doctor.cameras().words == "/dev/video2, its driver is broken"


def test_doctor_names_a_camera_as_it_is_called_after_the_next_start(tmp_path: Path) -> None:
    nodes = [tmp_path / name for name in ("video0", "video1", "video2")]
    for node in nodes:
        node.touch()
    links = {"by-id/usb-one-index0": 0, "by-path/usb-0:1-index0": 0, "by-path/usb-0:2-index0": 1}
    for link, number in links.items():
        (tmp_path / link).parent.mkdir(exist_ok=True)
        (tmp_path / link).symlink_to(nodes[number])
    (tmp_path / "by-id/usb-gone-index0").symlink_to(tmp_path / "video9")
    names = [doctor.lasting_name(str(node), tmp_path) for node in nodes]
    assert names == [str(tmp_path / "by-id/usb-one-index0"), str(tmp_path / "by-path/usb-0:2-index0"), str(nodes[2])]


def test_nodes_come_in_the_order_of_their_numbers() -> None:
    nodes = [Path(f"/dev/{name}") for name in ("video14", "video2", "video")]
    assert [node.name for node in sorted(nodes, key=cameras._number)] == ["video", "video2", "video14"]


def test_a_driver_that_hangs_is_told_of_and_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nshift 2\nfor node; do [ "$node" = hangs ] && sleep 60; echo null; done\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    found = cameras.looked_at([Path(name) for name in ("a", "hangs", "b", "hangs")], limit_s=0.5)
    hangs = {"node": "hangs", "error": "its driver said nothing for 0.5 s"}
    assert found == [None, hangs, None, hangs]


def test_a_node_is_looked_at_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    (found,) = cameras.looked_at([tmp_path / "video0"])
    assert found == {"node": str(tmp_path / "video0"), "error": "Inappropriate ioctl for device"}


def test_a_program_says_why_it_says_nothing() -> None:
    assert str(asked(["printf", r"fen\374tre"])) == "fen\ufffdtre"
    assert str(asked(["no-such-program"])) == "(not there)"
    assert str(asked(["sh", "-c", "echo no device >&2; exit 3"])) == "(exit 3: no device)"
    assert str(asked(["sleep", "60"], 0.1)) == "(said nothing for 0.1 s)"
    assert asked(["sh", "-c", "echo built; echo a warning >&2"]) == ("built", "", 0, "a warning")


def test_settings_of_the_shell_do_not_come_before_those_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_MQTT__URL", "mqtt://broker.example")
    monkeypatch.setenv("VISAVIS_CACHE_DIR", "/somewhere")
    left = without_settings()
    assert "VISAVIS_MQTT__URL" not in left
    assert left["VISAVIS_CACHE_DIR"] == "/somewhere"


def test_a_host_that_is_called_like_a_word_of_the_report_loses_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "names", lambda: ["capture", "nano"])
    board = {"model": "Jetson nano of capture", "compatible": ["nano,p3450"], "processor": "on capture"}
    found = {"board": board, "system": {"packages": {}}, "capture": {"error": "capture is away"}}
    clean = cleaned(found)
    assert clean["capture"] == {"error": "NAME is away"}
    assert clean["board"] == board | {"processor": "on NAME"}


def test_a_step_that_fails_stands_in_the_report_as_that() -> None:
    def fails() -> None:
        raise EOFError("it has ended")

    whole = {
        name: tried(fails) for name in ("board", "system", "libraries", "cameras", "engine", "inference", "capture")
    }
    told = lines({**whole, "strain_before": tried(fails), "strain_after": tried(fails)})
    assert "cameras      EOFError: it has ended" in told


def test_a_library_that_cannot_be_loaded_fails_alone(tmp_path: Path) -> None:
    broken = tmp_path / "onnxruntime"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('ELF load command address/offset not page-aligned')")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    said = visavis("doctor", variables=path).stdout
    assert "fail  onnxruntime  it cannot be loaded, exit 1: ImportError: ELF load command" in said
    assert "\nok    cache " in said
    file = tmp_path / "report.txt"
    answer = visavis("doctor", "--hardware", "--short", "--output", file, variables=path)
    assert answer.returncode == 0
    found = json.loads(file.read_text().partition(MARK)[2])
    assert "not page-aligned" in str(found["doctor"])


def test_nothing_of_the_current_folder_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be anybody's, and `sudo` may have asked."""
    for name in ("onnxruntime.py", "numpy.py", "json.py"):
        (tmp_path / name).write_text("raise ImportError('planted')")
    monkeypatch.chdir(tmp_path)
    assert "ms_p50" in inference._apart("onnxruntime", "fp32", 1)
    answer = subprocess.run([PROGRAM, "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "planted" not in answer.stdout + answer.stderr
    assert "ok    onnxruntime  " in answer.stdout


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_report_that_is_stopped_leaves_nothing_behind(told: signal.Signals, tmp_path: Path) -> None:
    command = [str(PROGRAM), "doctor", "--hardware", "--short", "--output", str(tmp_path / "report.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as measures:
        until(lambda: [*tmp_path.iterdir()], "it has begun")
        measures.send_signal(told)
        _, said = measures.communicate(timeout=HANG_S)
    assert (measures.returncode, said, [*tmp_path.iterdir()]) == (ENDED_BY_CTRL_C, "", [])

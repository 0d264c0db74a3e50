# SPDX-License-Identifier: Apache-2.0
"""Cameras of a real kernel: a USB camera (uvcvideo, MJPEG) and a test-pattern camera (vivid, YUYV)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from tests.vm.inside import BY_ID, INSIDE, Appliance, StatusLog, UsbCamera, configuration
from tests.vm.lab import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

NOTICE_LIMIT_S = 2.0  # a lost camera is noticed within it

USB = f"VISAVIS_TEST_CAMERA={BY_ID} VISAVIS_TEST_PICTURES={INSIDE}/pictures"
# Without a format OpenCV would take one that it needs not convert, which no camera in the field has.
VIVID = "VISAVIS_TEST_FORMAT=yuyv VISAVIS_TEST_CAMERA="
CAMERA_TESTS = "-test.run='TestCamera|TestTheDriver|TestTheCamera|TestBoth|TestACamera|ForACamera'"
READERS = ("-test.run=XXX", "-test.bench=Readers", "-test.benchtime=40x", "-test.count=4")


@pytest.fixture
def usb(machine: Machine) -> Iterator[UsbCamera]:
    camera = UsbCamera(machine)
    camera.plug()
    yield camera
    camera.pull()


@pytest.fixture
def vivid(machine: Machine) -> str:
    """The device path of the test-pattern camera."""
    machine.run("modprobe vivid n_devs=1 && udevadm settle")
    node = "grep -l vivid-000-vid-cap /sys/class/video4linux/*/name | cut -d/ -f5"
    return "/dev/" + machine.run(node).strip()


@pytest.fixture
def appliance(machine: Machine, usb: UsbCamera) -> Iterator[Appliance]:
    running = Appliance(machine, configuration("usb", f"v4l2:{BY_ID}"))
    yield running
    assert running.stop(), running.log()


def go_tests(machine: Machine, environment: str, *flags: str) -> str:
    return machine.run(f"cd /tmp && {environment} {INSIDE}/source.test -test.v {' '.join(flags)}")


def test_a_usb_camera_is_read_as_every_source(machine: Machine, usb: UsbCamera) -> None:
    said = go_tests(machine, USB, CAMERA_TESTS)
    assert said.count("--- PASS") == 8, said
    assert "SKIP" not in said


def test_a_camera_of_raw_pictures_is_read_as_every_source(machine: Machine, vivid: str) -> None:
    said = go_tests(machine, VIVID + vivid, CAMERA_TESTS)
    assert said.count("--- PASS") == 6, said


def test_the_readers_are_compared(machine: Machine, usb: UsbCamera, vivid: str) -> None:
    for name, environment in {"usb, MJPEG": USB, "vivid, YUYV": VIVID + vivid}.items():
        said = go_tests(machine, environment, *READERS)
        ratio = cost(said, "direct") / cost(said, "opencv")
        print(f"{name}: processor time of a picture, direct / OpenCV = {ratio:.2f}")


def cost(said: str, reader: str) -> float:
    """The least of several measurements: others on the host can only add."""
    found = [float(line.split()[-2]) for line in said.splitlines() if "cpu-us" in line and f"/{reader}-" in line]
    assert found, said
    return min(found)


def test_faces_before_a_usb_camera_arrive_over_mqtt(appliance: Appliance) -> None:
    message = next(appliance.messages("usb/detections"))
    assert len(message["faces"]) == 1, message
    x, y, width, height = message["faces"][0]["box"]
    assert 140 < y + height / 2 < 340, "the face stands at half the height"
    assert 0 < x + width / 2 < 640


LOSSES: dict[str, tuple[Callable[[UsbCamera], float], Callable[[UsbCamera], None]]] = {
    "pulled": (UsbCamera.pull, UsbCamera.plug),
    "hanging": (UsbCamera.hang, UsbCamera.go_on),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_camera_is_noticed_and_comes_back_by_itself(appliance: Appliance, usb: UsbCamera, loss: str) -> None:
    lose, give_back = LOSSES[loss]
    status = StatusLog(appliance.machine, "visavis/test/usb/status")
    lost_s = lose(usb)
    noticed_s = status.wait_for("offline") - lost_s
    print(f"a {loss} camera was noticed after {noticed_s:.2f} s")
    assert noticed_s <= NOTICE_LIMIT_S
    old, back_s = appliance.camera()["frames"]["captured"], status.now()
    give_back(usb)
    status.wait_for("online")
    new = next(message for message in appliance.messages("usb/detections") if message["frame"] > old)
    captured_s = datetime.fromisoformat(new["captured_at"].replace("Z", "+00:00")).timestamp()
    assert captured_s > back_s, "an old picture came as a new one"
    status.end()

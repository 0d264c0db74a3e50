# SPDX-License-Identifier: Apache-2.0
"""A network camera: a real RTSP server over TCP that wants a password, plays a face, goes away and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import RunningAppliance
from tests.e2e.subscriber import subscribed, violation
from tests.e2e.test_appliance import DEMO, assert_adds_up, middle
from tests.gocv_module import GO_MODULE, gocv_images
from tests.ports import free_port
from tests.waiting import until

PASSWORD = "between-us"  # noqa: S105 - of a camera that lives as long as a test
NEAR_PX = 10.0
H264 = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "0",
    "-g",
    "15",
    "-pix_fmt",
    "yuv420p",
    "-x264-params",
    "aud=1",
]


class NetworkCamera:
    """internal/testprogram/rtspserve with a clip of one still picture that shows a face."""

    def __init__(self, folder: Path, password: str = PASSWORD) -> None:
        self._password = password
        self.picture, self._clip, self._program = folder / "face.png", folder / "face.h264", folder / "rtspserve"
        self.port = free_port()
        build = ["env", "CGO_ENABLED=0", "go", "build", "-o", str(self._program), "./internal/testprogram/rtspserve"]
        subprocess.run(build, cwd=GO_MODULE, check=True)
        ffmpeg("-i", str(gocv_images() / "face-detect.jpg"), "-vf", "scale=640:480", str(self.picture))
        still = ["-loop", "1", "-framerate", "15", "-i", str(self.picture), "-frames:v", "30"]
        ffmpeg(*still, *H264, "-f", "h264", str(self._clip))
        self.start()

    def start(self) -> None:
        command = [str(self._program), "-listen", f"127.0.0.1:{self.port}", "-file", str(self._clip), "-fps", "15"]
        command += ["-user", "porch", "-password", self._password]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("rtsp://")

    def end(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.communicate()


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", *arguments], check=True)


@pytest.fixture
def network_camera(tmp_path: Path) -> Iterator[NetworkCamera]:
    camera = NetworkCamera(tmp_path)
    yield camera
    camera.end()


def faces_in(picture: Path) -> list[list[float]]:
    """The boxes that `visavis detect` finds in the picture itself."""
    command = [sys.executable, "-m", "visavis.cli", "detect", str(picture), "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [face["box"] for face in json.loads(answer)["faces"]]


def configuration(folder: Path, camera: NetworkCamera) -> str:
    secret = folder / "door.password"
    secret.write_text(PASSWORD + "\n")
    return DEMO + (
        f'[[camera]]\nid = "door"\nsource = "rtsp://127.0.0.1:{camera.port}/live"\nsize = [640, 480]\n'
        f'user = "porch"\npassword_file = "{secret}"\n'
    )


def test_a_network_camera_shows_its_face_and_comes_back_by_itself(
    start_appliance: Callable[..., RunningAppliance], network_camera: NetworkCamera, tmp_path: Path
) -> None:
    appliance = start_appliance(configuration(tmp_path, network_camera))
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/door/#") as seen:

        def detections() -> list[dict[str, Any]]:
            return [message.json() for message in seen.all("/detections")]

        def reason() -> str:
            return str(appliance.camera("door").get("error"))

        until(lambda: len(detections()) >= 30, "the camera is seen", 60)
        network_camera.end()
        until(lambda: seen.all("/status")[-1].payload == b"offline", "its loss is told")
        until(lambda: "does not answer" in reason(), lambda: f"the reason is {reason()!r}")
        assert PASSWORD not in reason()
        before = len(detections())
        network_camera.start()
        until(lambda: seen.all("/status")[-1].payload == b"online", "its return is told")
        until(lambda: len(detections()) >= before + 30, "it is seen again", 60)
    assert_adds_up(detections())
    assert [violation(message) for message in seen.all() if violation(message)] == []
    assert_same_faces(detections(), faces_in(network_camera.picture))
    assert PASSWORD not in appliance.log.read_text()


def assert_same_faces(detections: list[dict[str, Any]], expected: list[list[float]]) -> None:
    assert expected, "visavis detect finds no face in the picture"
    for payload in detections:
        assert (payload["width"], payload["height"]) == (640, 480)
        found = [middle(face["box"]) for face in payload["faces"]]
        assert len(found) == len(expected), payload
        for x, y in map(middle, expected):
            assert any(abs(x - a) <= NEAR_PX and abs(y - b) <= NEAR_PX for a, b in found), (payload, expected)

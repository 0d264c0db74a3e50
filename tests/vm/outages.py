#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs inside the machine: takes a camera away and gives it back, many times, and measures by the machine's own clock.

`usb` is pulled and plugged in with the other half of its pictures: an old picture is known by where its face stands.
`vivid` is unbound from its driver, which is then removed and loaded again. For each outage one line of JSON:

    {"noticed_s": 0.9, "back_s": 0.6, "old_pictures": 0, "other_fps": 2.0, "descriptors": 31}

    outages.py usb|vivid TIMES
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

INSIDE = Path("/opt/visavis")
NODES = {
    "usb": Path("/dev/v4l/by-id/usb-visavis_Test_Camera_0001-video-index0"),
    "vivid": Path("/dev/v4l/by-path/platform-vivid.0-video-index0"),
}
OTHER = {"usb": "vivid", "vivid": "usb"}
# The face of picture n stands at 110 + 13 n. Between the halves lies what no detector confuses.
FIRST, SECOND, BETWEEN_PX = range(13), range(18, 31), 305.0
CAMERA = ["python3", str(INSIDE / "usb_camera.py"), "--fps", "5"]
USB_LOG = Path("/tmp/usb.log")  # noqa: S108 (a machine of our own)
LIMIT_S = 60.0
OUTAGE_S = 2.0


class Listener:
    """What goes over MQTT from now on, each message with the time at which it came."""

    def __init__(self) -> None:
        command = ["stdbuf", "-oL", "mosquitto_sub", "-t", "visavis/test/+/status", "-t", "visavis/test/+/detections"]
        self.process = subprocess.Popen([*command, "-F", "%U %t %p"], stdout=subprocess.PIPE, text=True)
        self.seen: queue.Queue[tuple[float, str, str]] = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout or ():
            at, topic, payload = line.rstrip().split(" ", 2)
            self.seen.put((float(at), topic.removeprefix("visavis/test/"), payload))

    def until(self, topic: str, fits: Callable[[str], bool]) -> tuple[float, str]:
        """The next message of a topic that fits; what came before it is gone."""
        end_s = time.monotonic() + LIMIT_S
        while True:
            try:
                at, about, payload = self.seen.get(timeout=max(0.0, end_s - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"outages: nothing that fits on {topic} within {LIMIT_S} s") from None
            if about == topic and fits(payload):
                return at, payload


def frames(camera: str) -> int:
    with urllib.request.urlopen("http://127.0.0.1:8080/api/v1/status", timeout=30) as answer:
        status = json.load(answer)
    return next(int(one["frames"]["captured"]) for one in status["cameras"] if one["id"] == camera)


def descriptors() -> int:
    """Without the files of history and outbox: they are opened with the first event, which may be late."""
    pid = subprocess.run(["pgrep", "-x", "visavis-capture"], capture_output=True, text=True, check=True).stdout.strip()
    links = Path(f"/proc/{pid}/fd")
    return sum("/state/" not in target(link) for link in links.iterdir())


def target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return "/state/"  # it was closed just now


def lose(camera: str) -> None:
    if camera == "usb":
        subprocess.run(["sh", "-c", "kill -9 $(cat /tmp/usb.pid)"], check=True)
    else:
        Path("/sys/bus/platform/drivers/vivid/unbind").write_text("vivid.0")


def give_back(camera: str, half: range) -> float:
    """Returns when the camera's node is there."""
    if camera == "usb":
        pictures = [str(INSIDE / "pictures" / f"{number:02}.jpg") for number in half]
        # It outlives this program: with our output in its hands, who reads that would wait for its end.
        with USB_LOG.open("ab") as log:
            started = subprocess.Popen([*CAMERA, *pictures], stdout=log, stderr=log)
        Path("/tmp/usb.pid").write_text(str(started.pid))  # noqa: S108 (a machine of our own)
    else:
        subprocess.run(["sh", "-ec", "modprobe -r vivid; modprobe vivid n_devs=1"], check=True)
    end_s = time.monotonic() + LIMIT_S
    while not NODES[camera].exists():
        if time.monotonic() > end_s:
            raise SystemExit(f"outages: {NODES[camera]} did not come back")
        time.sleep(0.01)
    return time.time()


def outage(camera: str, half: range, heard: Listener) -> dict[str, Any]:
    lost_s = time.time()
    lose(camera)
    noticed_s, _ = heard.until(f"{camera}/status", lambda word: word == "offline")
    old, others, others_s = frames(camera), frames(OTHER[camera]), time.monotonic()
    time.sleep(OUTAGE_S)
    other_fps = (frames(OTHER[camera]) - others) / (time.monotonic() - others_s)
    there_s = give_back(camera, half)
    back_s, _ = heard.until(f"{camera}/status", lambda word: word == "online")
    _, text = heard.until(f"{camera}/detections", lambda payload: json.loads(payload)["frame"] > old)
    return {
        "noticed_s": round(noticed_s - lost_s, 2),
        "back_s": round(back_s - there_s, 2),
        "old_pictures": int(is_old(json.loads(text), camera, half, noticed_s + OUTAGE_S)),
        "other_fps": round(other_fps, 2),
        "descriptors": descriptors(),
    }


def is_old(message: dict[str, Any], camera: str, half: range, since_s: float) -> bool:
    """Whether a picture was taken before the camera came back, by its time and by what is seen on it."""
    if datetime.fromisoformat(message["captured_at"].replace("Z", "+00:00")).timestamp() < since_s:
        return True
    middles = [face["box"][0] + face["box"][2] / 2 for face in message["faces"]]
    return camera == "usb" and any((middle > BETWEEN_PX) != (half is SECOND) for middle in middles)


def main() -> None:
    """The first outage only brings everything into the state in which the others find it."""
    camera, times = sys.argv[1], int(sys.argv[2])
    heard = Listener()
    for number in range(times + 1):
        measured = outage(camera, FIRST if number % 2 else SECOND, heard)
        if number:
            print(json.dumps(measured), flush=True)
    heard.process.kill()


if __name__ == "__main__":
    main()

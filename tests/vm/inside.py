# SPDX-License-Identifier: Apache-2.0
"""What runs inside the virtual machine: a USB camera that can be pulled, and the appliance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deb.kept import REPOSITORY
from tests.vm.lab import Machine

BY_ID = "/dev/v4l/by-id/usb-visavis_Test_Camera_0001-video-index0"
VIVID_BY_PATH = "/dev/v4l/by-path/platform-vivid.0-video-index0"
INSIDE = "/opt/visavis"
CONFIG = "/etc/visavis/config.toml"
PYTHON = f"PYTHONPATH={INSIDE}/site:{INSIDE}/trt-infer PYTHONDONTWRITEBYTECODE=1 python3"

# libcamera names a USB camera by its controller's node in the firmware, which a controller made of software lacks.
# One is laid over it; udev takes only what lies on sysfs itself, so the bus is put back into its place.
VHCI = "/sys/devices/platform/vhci_hcd.0"
ADD_NODE = f"""
set -e
mkdir -p /tmp/node/firmware_node /tmp/bus
echo VHCI >/tmp/node/firmware_node/path
mount --bind {VHCI}/usb1 /tmp/bus
mount -t overlay overlay -o lowerdir=/tmp/node:{VHCI} {VHCI}
mount --bind /tmp/bus {VHCI}/usb1
"""


def retry(condition: str, limit_s: int, otherwise: str = "true") -> str:
    """A shell loop that ends well as soon as `condition` does."""
    return f"for i in $(seq {5 * limit_s}); do {condition} && exit 0; sleep 0.2; done; {otherwise}; exit 1"


# What the package starts.
UNITS = ("visavis-frames.socket", "visavis-capture.service", "visavis-infer@1.service")
# For services that are slow, not stuck.
PATIENCE = {
    "visavis-capture.service": "WatchdogSec=60\nTimeoutStartSec=1800",
    "visavis-infer@.service": "WatchdogSec=900\nTimeoutStartSec=1800",
}


def be_patient(machine: Machine) -> None:
    """Give services more time before systemd takes them for stuck; from their next start on."""
    for unit, words in PATIENCE.items():
        folder = f"/etc/systemd/system/{unit}.d"
        machine.run(f"mkdir -p {folder} && printf '[Service]\n{words}\n' >{folder}/slow.conf")
    machine.run("systemctl daemon-reload")


# What the package puts there, from systemd/ of the repository.
SERVICE = {
    "/etc/systemd/system": ("visavis-capture.service", "visavis-frames.service", "visavis-frames.socket"),
    "/etc/sysusers.d": ("sysusers.d/visavis.conf",),
    "/etc/tmpfiles.d": ("tmpfiles.d/visavis.conf",),
    "/etc/udev/rules.d": ("udev/70-visavis.rules",),
}
POSTINST = (REPOSITORY / "deb/scripts/visavis/postinst").read_text()
UDEV_IN_FORCE = "".join(re.findall(r"^if udevadm .*?^fi\n", POSTINST, re.M | re.S)) + "udevadm settle"
OWN_DAEMON = f"[Service]\nExecStart=\nExecStart={INSIDE}/visavis-capture -config {CONFIG}\n"
END_SERVICE = """
systemctl stop visavis-capture visavis-frames.socket visavis-frames
rm /etc/udev/rules.d/70-visavis.rules
udevadm control --reload
"""


@contextmanager
def as_service(machine: Machine, configuration: str) -> Iterator[None]:
    """The daemon alone, with the rights of the package's unit and udev rules; `postinst` puts the rules into force."""
    folder = "/etc/systemd/system/visavis-capture.service.d"
    machine.run(f"mkdir -p {folder} {' '.join(SERVICE)} $(dirname {CONFIG})")
    for place, names in SERVICE.items():
        for name in names:
            machine.send(REPOSITORY / "systemd" / name, f"{place}/{Path(name).name}")
    machine.run(f"printf '{OWN_DAEMON}' >{folder}/own.conf && cat >{CONFIG} <<'EOF'\n{configuration}\nEOF")
    machine.run("systemd-sysusers visavis.conf && systemd-tmpfiles --create visavis.conf")
    machine.run(UDEV_IN_FORCE)
    be_patient(machine)
    try:
        machine.run("systemctl start visavis-capture")
        yield
    finally:
        machine.run(END_SERVICE)


def message_with_a_face(machine: Machine, topic: str) -> dict[str, Any]:
    """The next message of a camera's detections that tells of a face."""
    command = f"stdbuf -oL mosquitto_sub -t '{topic}' -W 1800 | grep -m1 '\"faces\":\\[{{'"
    found: dict[str, Any] = json.loads(machine.run(command, 2400))
    return found


class UsbCamera:
    """A camera that is plugged in until it is pulled; `usb_camera.py` says how it is made."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def plug(self, words: str = f"{INSIDE}/pictures/*.jpg") -> None:
        """`words` are what `usb_camera.py` is told."""
        self.machine.run("modprobe vhci_hcd")
        self.machine.start("usb", f"python3 {INSIDE}/usb_camera.py {words}")
        self.machine.run(retry(f"[ -e {BY_ID} ]", 30, "cat /tmp/usb.log"))

    def pull(self) -> float:
        """Seconds since the epoch, by the machine's clock, just before the plug is pulled."""
        return self.machine.signal("usb", "KILL")

    def hang(self) -> float:
        """The same for a camera that stays plugged in and gives nothing more."""
        return self.machine.signal("usb", "USR1")

    def go_on(self) -> None:
        self.machine.signal("usb", "USR1")

    def change(self) -> None:
        """Sends the pictures behind --then from now on."""
        self.machine.signal("usb", "USR2")

    @contextmanager
    def in_firmware(self) -> Iterator[None]:
        """While the camera is plugged in, its controller is known to the firmware, as a real one is."""
        self.machine.run(ADD_NODE)
        try:
            yield
        finally:
            self.machine.run(f"umount {VHCI}/usb1 {VHCI} /tmp/bus")


DEVICE = """
[device]
id = "test"
[detector]
input = [320, 256]
[worker]
lease_ms = 60000 # inference is slow without the host's help
"""


def configuration(camera: str, source: str, more: str = "") -> str:
    """One camera."""
    return DEVICE + camera_table(camera, source, more)


def camera_table(camera: str, source: str, more: str = "") -> str:
    """A camera that is looked at as often as a machine without the host's help can, unless `more` says otherwise."""
    return f"""
[[camera]]
id = "{camera}"
source = "{source}"
size = [640, 480]
fps = 15.0
{more or "detect_fps = 2.0"}
"""


class Appliance:
    """`visavis run` inside the machine, on the standard ports."""

    def __init__(self, machine: Machine, configuration: str) -> None:
        self.machine = machine
        machine.run(f"cat >/tmp/config.toml <<'EOF'\n{configuration}\nEOF")
        environment = f"VISAVIS_CACHE_DIR={INSIDE}/cache VISAVIS_CAPTURE={INSIDE}/visavis-capture {PYTHON}"
        machine.start("run", f"env {environment} -m visavis.cli run --config /tmp/config.toml")
        machine.run(retry("curl -sf http://127.0.0.1:8080/readyz", 150, "cat /tmp/run.log"))

    def camera(self, number: int = 0) -> dict[str, Any]:
        """What the status says of a camera, the first if nothing is said."""
        status = json.loads(self.machine.run("curl -sf http://127.0.0.1:8080/api/v1/status"))
        found: dict[str, Any] = status["cameras"][number]
        return found

    def log(self) -> str:
        return self.machine.run("cat /tmp/run.log")

    def messages(self, topic: str) -> Iterator[dict[str, Any]]:
        """Five at most, each waited for only when it is asked for: one can take ten seconds."""
        for _ in range(5):
            yield json.loads(self.machine.run(f"mosquitto_sub -t 'visavis/test/{topic}' -C 1 -W 120"))

    def stop(self) -> bool:
        self.machine.signal("run", "INT")
        return self.machine.try_to_run(retry("! kill -0 $(cat /tmp/run.pid)", 20)).returncode == 0


class StatusLog:
    """Listens to the camera's status topic inside, with the machine's own clock."""

    def __init__(self, machine: Machine, topic: str) -> None:
        self.machine = machine
        machine.start("status", f"stdbuf -oL mosquitto_sub -R -t {topic} -F '%U %p'")
        machine.run("sleep 2")

    def wait_for(self, word: str) -> float:
        """Seconds since the epoch at which `word` was said last."""
        self.machine.run(retry(f"tail -n1 /tmp/status.log | grep -q ' {word}'", 60, "cat /tmp/run.log"))
        return float(self.machine.run("tail -n1 /tmp/status.log").split()[0])

    def now(self) -> float:
        return float(self.machine.run("date +%s.%N"))

    def end(self) -> None:
        self.machine.signal("status", "TERM")

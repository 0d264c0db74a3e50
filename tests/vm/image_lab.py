# SPDX-License-Identifier: Apache-2.0
"""A made image in a virtual machine with UEFI firmware, as it would be on a disk of its own.

Who asks such a device does it from inside, by ssh: the file with settings on its first partition brings the key.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from image import disk

from deb.kept import REPOSITORY
from deb.packing import git
from tests.ports import free_port
from tests.vm.inside import be_patient, message_with_a_face, retry
from tests.vm.lab import DEBIAN_13, PI, Board, accelerated, missing_programs
from tests.vm.restarts import Restarting
from tests.vm.slots import TwoSlots

DISK_BYTES = 5 << 30
# Inference is slow without the host's help: smaller pictures, and seldom.
SLOW = """
[detector]
input = [160, 128]
[worker]
lease_ms = 60000
"""
SETTINGS = """
[device]
id = "porch"
[wifi]
ssid = "porch wifi"
password = "not a real one"
[ssh]
keys = ["{key}"]
"""
PAGE = "https://127.0.0.1:8080"


@dataclass(frozen=True)
class Hardware:
    """What QEMU emulates for a board's image; `system` is how its Debian is called on the page of what ran."""

    board: str
    system: Board
    machine: tuple[str, ...]
    firmware: Path
    variables: Path
    image_file: Path | None = None

    @property
    def image(self) -> Path:
        """What is flashed."""
        return self.image_file or image_of(self.board)


PC = Hardware(
    board="generic-amd64",
    system=DEBIAN_13,
    machine=("-machine", "q35", *DEBIAN_13.processor),
    firmware=Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
    variables=Path("/usr/share/OVMF/OVMF_VARS_4M.fd"),
)
ARM = Hardware(
    board="generic-arm64",
    system=PI,
    machine=PI.processor,
    firmware=Path("/usr/share/AAVMF/AAVMF_CODE.fd"),
    variables=Path("/usr/share/AAVMF/AAVMF_VARS.fd"),
)


# Most devices have a card or a radio that is not in use; nothing waits for it to get an address.
NOBODY = "socket,id=nobody,udp=127.0.0.1:9,localaddr=127.0.0.1:0"  # takes what is sent, unlike a hub without others
NETWORK_OF_NOBODY = ("-netdev", NOBODY, "-device", "virtio-net-pci,netdev=nobody")


class Flashed(TwoSlots):
    """A machine whose disk is a copy of the image. It can be switched off and on, and its disk looked at in between.

    What is `beside` is a second disk, which it was not started from.
    """

    start_limit_s = 3600.0
    more: tuple[str, ...] = ()  # words for QEMU

    def __init__(self, hardware: Hardware, folder: Path, beside: Path | None = None) -> None:
        self.hardware, self.board = hardware, hardware.system
        self.folder, self.disk = folder, folder / "disk.img"
        self.disks = [self.disk, *([beside] if beside else [])]
        self.console, self.image = folder / "console.log", folder  # where the key to log in lies
        subprocess.run(["cp", "--sparse=always", str(hardware.image), str(self.disk)], check=True)
        with self.disk.open("r+b") as out:
            out.truncate(DISK_BYTES)
        shutil.copyfile(hardware.variables, folder / "variables.fd")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
        self.port, self.web_port = free_port(), free_port()
        self.connect_anew()

    @property
    def esp(self) -> str:
        """The boot partition, as mtools want it."""
        return f"{self.disk}@@{disk.FIRST_MIB}M"

    def put(self, name: str, content: str) -> None:
        """Write a file onto the boot partition of a machine that is off."""
        subprocess.run(["mcopy", "-o", "-i", self.esp, "-", f"::/{name}"], input=content.encode(), check=True)

    def boot_file(self, name: str) -> str | None:
        """A file of the boot partition of a machine that is off; None if there is none."""
        done = subprocess.run(["mtype", "-i", self.esp, f"::/{name}"], capture_output=True, check=False)
        return done.stdout.decode() if done.returncode == 0 else None

    def switch_on(self) -> None:
        self.switched_on_s = time.monotonic()
        command = [self.board.emulator, *self.hardware.machine, "-smp", "2", "-m", "2048"]
        command += [*accelerated(self.board, 1024), "-display", "none", "-monitor", "none"]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={self.hardware.firmware}"]
        command += ["-drive", f"if=pflash,format=raw,file={self.folder / 'variables.fd'}"]
        command += [word for one in self.disks for word in ("-drive", f"if=virtio,format=raw,file={one}")]
        ports = f"hostfwd=tcp:127.0.0.1:{self.port}-:22,hostfwd=tcp:127.0.0.1:{self.web_port}-:8080"
        command += ["-netdev", f"user,id=n,{ports}", "-device", "virtio-net-pci,netdev=n"]
        command += NETWORK_OF_NOBODY
        self.process = Restarting([*command, *self.more], self.console)
        self.connect_anew()

    def stop(self) -> None:
        """Pull the plug."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self, words: str, after: str = "") -> bool:
        text = self.console.read_text(errors="replace")
        begin = text.rfind(after) if after else 0
        return begin >= 0 and words in text[begin:]

    def wait_until_it_says(self, words: str, after: str = "") -> None:
        """Since it was switched on, or since it said something else: a restart goes on in the same console."""
        self.wait_for(lambda: self.said(words, after), f"the console never said {words!r}")

    def switch_off(self) -> None:
        """As its owner would, who then takes the card out."""
        self.try_to_run("systemctl poweroff")
        self.process.wait(timeout=self.start_limit_s)


def flashed(hardware: Hardware, folder: Path, beside: Path | None = None) -> Iterator[Flashed]:
    """A machine that was flashed, given a file with settings, and switched on for the first time."""
    missing = missing_for_images(hardware)
    assert not missing, f"missing: {', '.join(missing)}"
    device = Flashed(hardware, folder, beside)
    device.put("visavis.toml", SETTINGS.format(key=(device.folder / "key.pub").read_text().strip()))
    device.switch_on()
    with device:
        yield device


def image_of(board: str) -> Path:
    """Where `make image` leaves it."""
    return REPOSITORY / "build" / "image" / board / f"visavis-{board}.img"


def missing_image(board: str) -> list[str]:
    """Nothing, unless there is no image, or one from before what images are made with was changed."""
    image = image_of(board)
    if not image.exists():
        return [f"the image: run `make image BOARD={board}`"]
    made = json.loads((image.parent / "sbom.cdx.json").read_text())["metadata"]["timestamp"]
    changed = git("log", "-1", "--format=%cI", "--", "firmware-image")
    old = datetime.fromisoformat(made) < datetime.fromisoformat(changed)
    return [f"an image that is as new as firmware-image: run `make image BOARD={board}`"] * old


def missing_for_images(hardware: Hardware) -> list[str]:
    """What a machine with this image needs and this host lacks, with the command that brings it."""
    lacks = missing_image(hardware.board)
    if not hardware.firmware.exists():
        lacks.append(f"UEFI firmware ({hardware.firmware}): `scripts/setup.sh vm` installs it")
    return lacks + missing_programs(hardware.system)


def ask(device: Flashed, path: str, body: dict[str, Any] | None = None, token: str = "") -> tuple[int, str]:
    """Ask the page from inside, whose certificate nobody has signed; the status and the answer."""
    sent = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    script = f"""
import json, ssl, urllib.error, urllib.request
body = {body!r}
data = json.dumps(body).encode() if body else None
asked = urllib.request.Request("{PAGE}{path}", data, {sent!r})
try:
    answer = urllib.request.urlopen(asked, context=ssl._create_unverified_context())
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""
    status, _, text = device.run(f"python3 - <<'EOF'\n{script}\nEOF").partition(" ")
    return int(status), text


def codes_for_nobody(device: Flashed, asked: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How the page answers to who has no login, by method and path."""
    script = f"""
import http.client, json, ssl
def code(method, path):
    page = http.client.HTTPSConnection("{PAGE.partition("//")[2]}", context=ssl._create_unverified_context())
    page.request(method, path)
    return page.getresponse().status
print(json.dumps([code(*one) for one in {asked!r}]))
"""
    return dict(zip(asked, json.loads(device.run(f"python3 - <<'EOF'\n{script}\nEOF")), strict=True))


def slow_down(device: Flashed) -> None:
    """Ask less of a device than its image does: what runs is emulated."""
    be_patient(device)
    device.run(f"cat >/etc/visavis/conf.d/90-slow.toml <<'EOF'\n{SLOW}\nEOF")
    device.run("systemctl restart --no-block visavis-capture 'visavis-infer@*'")


def everything_runs(device: Flashed) -> None:
    """The services of a device that was switched on are active, none failed, and its page says that it is healthy."""
    active = "systemctl is-active -q visavis-capture visavis-infer@1"
    device.run(retry(active, 1800, "systemctl --failed"), 3600)
    assert ask(device, "/healthz")[0] == 200
    assert device.run("systemctl --failed --no-legend").strip() == ""


def first_start(device: Flashed) -> str:
    """Wait until a device that was just switched on is healthy; what it weighs and how long that took."""
    everything_runs(device)
    took_s = time.monotonic() - device.switched_on_s
    image = device.hardware.image
    sent, system = (file.stat().st_size / 1e6 for file in (Path(f"{image}.zst"), image.parent / "rootfs.squashfs"))
    return f"{sent:.0f} MB to send, {system:.0f} MB the system in its slot; healthy {took_s:.0f} s after the power came"


def a_face_comes_over_mqtt(device: Flashed) -> None:
    """What the demo shows arrives at the device's own broker."""
    message = message_with_a_face(device, "visavis/porch/demo/detections")
    assert (message["device"], message["camera"], message["width"]) == ("porch", "demo", 640)


def the_list_of_parts_is_inside_and_beside(device: Flashed) -> None:
    """The same bytes, with parts of each kind."""
    inside = device.run("cat /usr/share/visavis/sbom.cdx.json")
    assert inside == (device.hardware.image.parent / "sbom.cdx.json").read_text()
    kinds = {part["purl"].partition("/")[0] for part in json.loads(inside)["components"]}
    assert kinds >= {"pkg:deb", "pkg:pypi", "pkg:golang", "pkg:generic"}, kinds  # the last: libraries within wheels
    for program in ("visavis", "systemd", "openssh-server"):
        assert f'"pkg:deb/debian/{program}@' in inside

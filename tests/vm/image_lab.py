# SPDX-License-Identifier: Apache-2.0
"""A made image in a virtual machine with UEFI firmware, as it would be on a disk of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from image import disk

from deb.kept import REPOSITORY
from tests.e2e.conftest import free_port
from tests.vm.lab import DEBIAN_13, Machine, accelerated

FIRMWARE = Path("/usr/share/OVMF")
IMAGE = REPOSITORY / "build" / "image" / "generic-amd64" / "visavis-generic-amd64.img"
DISK_BYTES = 5 << 30


class Flashed(Machine):
    """A machine whose disk is a copy of the image. It can be switched off and on, and its disk looked at in between."""

    start_limit_s = 1800.0

    def __init__(self, image: Path, folder: Path) -> None:
        self.board = DEBIAN_13  # which the image is made of
        self.folder, self.disk, self.socket = folder, folder / "disk.img", folder / "ssh"
        self.console, self.image = folder / "console.log", folder  # where the key to log in lies
        subprocess.run(["cp", "--sparse=always", str(image), str(self.disk)], check=True)
        with self.disk.open("r+b") as out:
            out.truncate(DISK_BYTES)
        shutil.copyfile(FIRMWARE / "OVMF_VARS_4M.fd", folder / "variables.fd")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
        self.port, self.web_port = free_port(), free_port()

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
        self.console.write_text("")
        command = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "2048"]
        command += [*accelerated(self.board, 1024), "-display", "none", "-monitor", "none"]
        code = FIRMWARE / "OVMF_CODE_4M.fd"
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
        command += ["-drive", f"if=pflash,format=raw,file={self.folder / 'variables.fd'}"]
        command += ["-drive", f"if=virtio,format=raw,file={self.disk}", "-serial", f"file:{self.console}"]
        ports = f"hostfwd=tcp:127.0.0.1:{self.port}-:22,hostfwd=tcp:127.0.0.1:{self.web_port}-:8080"
        command += ["-netdev", f"user,id=n,{ports}", "-device", "virtio-net-pci,netdev=n"]
        self.process = subprocess.Popen(command)

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

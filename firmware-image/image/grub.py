# SPDX-License-Identifier: Apache-2.0
"""Boards with UEFI firmware: GRUB on the first partition takes the kernel out of the slot that it chooses."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from visavis.update.boot.grub import fresh_environment

from image import HERE
from image.disk import FIRST_PARTITION_MIB, Partition, slots

ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
MODULES = (
    *("part_gpt", "fat", "squash4", "gzio", "normal", "linux", "loadenv", "test", "regexp", "echo", "configfile"),
    *("all_video", "probe", "sleep", "reboot", "true"),
)
FOLDER = "EFI/visavis"


@dataclass(frozen=True)
class Grub:
    """How GRUB is called for a processor: its platform, and the name under which UEFI firmware looks for it."""

    platform: str
    file: str

    layers = ()
    slot_format = "none"

    def partitions(self, architecture: str) -> tuple[Partition, ...]:
        """In the order of the numbers that grub.cfg and RAUC use."""
        return Partition("visavis-esp", ESP_TYPE, FIRST_PARTITION_MIB, "first"), *slots(architecture)

    def prepare(self, root: Path, options: str) -> None:
        """What a slot wants to say to its kernel, where grub.cfg looks for it."""
        (root / "boot/visavis.cfg").write_text(f'set options="{options}"\n')

    def first_files(self, root: Path) -> dict[str, bytes]:
        """GRUB, what it does, and its variables."""
        return {
            f"EFI/BOOT/{self.file}": self.program(root),
            f"{FOLDER}/grub.cfg": (HERE / "update" / "grub.cfg").read_bytes(),
            f"{FOLDER}/grubenv": fresh_environment(),
        }

    def slot_files(self, root: Path, options: str) -> dict[str, bytes]:
        """Nothing: GRUB reads the slot itself."""
        del root, options
        return {}

    def program(self, root: Path) -> bytes:
        """GRUB as one program, made by the board's own Debian from its own modules."""
        name = "tmp/grub.efi"
        command = ["chroot", str(root), "grub-mkimage", "-O", self.platform, "-p", f"/{FOLDER}", "-o", f"/{name}"]
        subprocess.run([*command, *MODULES], check=True)
        program = (root / name).read_bytes()
        (root / name).unlink()
        return program

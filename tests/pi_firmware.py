# SPDX-License-Identifier: Apache-2.0
"""The part of a Raspberry Pi's firmware, played on a disk: which partition is booted, and what is loaded from it.

As Raspberry Pi's documentation has it: autoboot.txt on the first FAT partition names a partition, by its section
[tryboot] when that was asked for; config.txt there names kernel, first stage and command line, its filters applied.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
FAT_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
AUTOBOOT_LIMIT = 512  # bytes of autoboot.txt that are read


@dataclass(frozen=True)
class Loaded:
    """What the firmware starts."""

    partition: int
    kernel: bytes
    first_stage: bytes
    device_tree: bytes
    command_line: str


class Firmware:
    """The firmware of a model, whose disk is a file; `chooses` is whether it knows the filter [boot_partition=N]."""

    def __init__(self, disk: Path, device_tree: str, chooses: bool = True) -> None:
        self.disk, self.device_tree, self.chooses = disk, device_tree, chooses

    def load(self, tryboot: bool = False) -> Loaded:
        """Do what happens between power and the kernel."""
        number = self.partition(tryboot)
        settings = self.settings(number)
        return Loaded(
            number,
            self.file(number, settings["kernel"]),
            self.file(number, settings["initramfs"]),
            self.file(number, self.device_tree),
            self.file(number, settings.get("cmdline", "cmdline.txt")).decode().splitlines()[0],
        )

    def partition(self, tryboot: bool) -> int:
        """The one that autoboot.txt names."""
        text = self.file(1, "autoboot.txt")[:AUTOBOOT_LIMIT].decode()
        named = {"all": 0, "tryboot": 0}
        for section, body in re.findall(r"\[(\w+)\]([^\[]*)", text):
            if found := re.search(r"^boot_partition=(\d+)$", body, re.MULTILINE):
                named[section] = int(found[1])
        return named["tryboot"] if tryboot and named["tryboot"] else named["all"]

    def settings(self, number: int) -> dict[str, str]:
        """config.txt of a partition, without what its filters leave out."""
        found, applies = {}, True
        for line in self.file(number, "config.txt").decode().splitlines():
            if section := re.fullmatch(r"\[(.*)\]", line):
                applies = section[1] == "all" or (self.chooses and section[1] == f"boot_partition={number}")
            elif applies and (setting := re.fullmatch(r"(\w+)[= ](\S+)( followkernel)?", line)):
                found[setting[1]] = setting[2]
        return found

    def file(self, number: int, name: str) -> bytes:
        """A file of a FAT partition."""
        done = subprocess.run(["mtype", "-i", self.place(number), f"::/{name}"], capture_output=True, check=False)
        assert done.returncode == 0, f"partition {number} has no {name}: {done.stderr.decode()}"
        return done.stdout

    def place(self, number: int) -> str:
        """A partition as mtools want it; the firmware reads FAT only."""
        said = subprocess.run(["sfdisk", "-J", self.disk], capture_output=True, text=True, check=True).stdout
        part = json.loads(said)["partitiontable"]["partitions"][number - 1]
        assert part["type"] == FAT_TYPE, f"partition {number} is {part['type']}"
        return f"{self.disk}@@{part['start'] * SECTOR}"

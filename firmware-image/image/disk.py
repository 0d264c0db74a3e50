# SPDX-License-Identifier: Apache-2.0
"""The disk of an image: table, boot partition with GRUB, two places for systems of which the first is filled.

The data partition is not part of it. A device makes it at its first start, on all the room that its own disk has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from visavis.update.boot.grub import fresh_environment

from image.boards import HERE, Board

MIB = 1 << 20
ESP_MIB = 128
SLOT_MIB = 1024
FIRST_MIB = 4
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_TYPES = {"amd64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "arm64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"}
GRUB_MODULES = (
    "part_gpt",
    "fat",
    "squash4",
    "gzio",
    "normal",
    "linux",
    "loadenv",
    "test",
    "regexp",
    "echo",
    "configfile",
    "all_video",
)
GRUB_FOLDER = "EFI/visavis"


@dataclass(frozen=True)
class Partition:
    """A line of the table, in MiB from the disk's start."""

    label: str
    type: str
    start_mib: int
    size_mib: int


def partitions(board: Board) -> tuple[Partition, ...]:
    """The table of a board's image, in the order of the numbers that GRUB and RAUC use."""
    slot_type = ROOT_TYPES[board.architecture]
    first_slot = FIRST_MIB + ESP_MIB
    return (
        Partition("visavis-esp", ESP_TYPE, FIRST_MIB, ESP_MIB),
        Partition("visavis-a", slot_type, first_slot, SLOT_MIB),
        Partition("visavis-b", slot_type, first_slot + SLOT_MIB, SLOT_MIB),
    )


def size_mib(board: Board) -> int:
    """The whole image: the last partition, and room for the second copy of the table."""
    last = partitions(board)[-1]
    return last.start_mib + last.size_mib + FIRST_MIB


def fixed_uuid(board: Board, name: str) -> uuid.UUID:
    """The same for every build of a board: an image's bytes are to be the same."""
    return uuid.UUID(bytes=hashlib.sha256(f"visavis {board.name} {name}".encode()).digest()[:16], version=4)


def table(board: Board) -> str:
    """The table as sfdisk reads it."""
    lines = [f"label: gpt\nlabel-id: {fixed_uuid(board, 'disk')}\nunit: sectors\n"]
    for part in partitions(board):
        start, size = part.start_mib * MIB // 512, part.size_mib * MIB // 512
        identity = fixed_uuid(board, part.label)
        lines.append(f'start={start}, size={size}, type={part.type}, uuid={identity}, name="{part.label}"\n')
    return "".join(lines)


def grub(board: Board, root: Path) -> bytes:
    """GRUB as one program, made by the board's own Debian from its own modules."""
    name = "tmp/grub.efi"
    command = [
        "chroot",
        str(root),
        "grub-mkimage",
        "-O",
        board.grub.platform,
        "-p",
        f"/{GRUB_FOLDER}",
        "-o",
        f"/{name}",
        *GRUB_MODULES,
    ]
    subprocess.run(command, check=True)
    program = (root / name).read_bytes()
    (root / name).unlink()
    return program


def boot_files(board: Board, program: bytes, folder: Path) -> None:
    """Everything on the boot partition, as a folder."""
    files = {
        f"EFI/BOOT/{board.grub.file}": program,
        f"{GRUB_FOLDER}/grub.cfg": (HERE / "update" / "grub.cfg").read_bytes(),
        f"{GRUB_FOLDER}/grubenv": fresh_environment(),
        "visavis.toml.example": (HERE / "esp" / "visavis.toml.example").read_bytes(),
        "README.txt": (HERE / "esp" / "README.txt").read_bytes(),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def boot_partition(board: Board, files: Path, image: Path, time_s: int) -> None:
    """Write a folder as a FAT file system whose bytes depend on its content alone."""
    for path in (files, *files.rglob("*")):
        os.utime(path, (time_s, time_s))
    with image.open("wb") as out:
        out.truncate(ESP_MIB * MIB)
    serial = fixed_uuid(board, "boot").hex[:8]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time_s), "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(
        ["mkfs.vfat", "-F", "32", "-i", serial, "-n", "VISAVIS", "--invariant", str(image)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for path in sorted(files.rglob("*")):
        target = f"::/{path.relative_to(files)}"
        command = (
            ["mmd", "-i", str(image), target] if path.is_dir() else ["mcopy", "-m", "-i", str(image), str(path), target]
        )
        subprocess.run(command, check=True, env=environment)


def assemble(board: Board, esp: Path, root: Path, image: Path) -> None:
    """Write the image: the table, the boot partition, and the root as the first system."""
    room, size = SLOT_MIB * MIB, root.stat().st_size
    if size > room:
        raise ValueError(f"the root file system has {size} bytes and a system's place {room}: leave packages out")
    image.unlink(missing_ok=True)
    with image.open("wb") as out:
        out.truncate(size_mib(board) * MIB)
    subprocess.run(["sfdisk", "-q", str(image)], input=table(board), text=True, check=True, stdout=subprocess.DEVNULL)
    first, slot, _ = partitions(board)
    for part, source in ((first, esp), (slot, root)):
        with image.open("r+b") as out, source.open("rb") as content:
            out.seek(part.start_mib * MIB)
            shutil.copyfileobj(content, out, 4 * MIB)

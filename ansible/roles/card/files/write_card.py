# SPDX-License-Identifier: Apache-2.0
"""Writes an image to a whole disk that nobody uses, reads it back, and lays the first settings on its boot partition.

Everything that could make it the wrong disk is refused before the first byte. Last asked is the kernel, by O_EXCL.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import lzma
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

BY_ID = Path("/dev/disk/by-id")
BLOCK_BYTES = 4 << 20
SECTOR_BYTES = 512  # sysfs counts in these, whatever the disk has
OPENERS: dict[str, Any] = {".img": open, ".raw": open, ".xz": lzma.open, ".gz": gzip.open}


class Refused(Exception):
    """Why nothing was written, or what was written is not right."""


@dataclass(frozen=True)
class Disk:
    """A whole disk; `name` is the kernel's, such as sdb."""

    name: str
    sysfs: Path
    dev: Path

    @property
    def parts(self) -> list[str]:
        """It and its partitions, by the kernel's names."""
        return [self.name, *(one.parent.name for one in sorted(self.sysfs.glob("*/partition")))]

    @property
    def size_bytes(self) -> int:
        return int((self.sysfs / "size").read_text()) * SECTOR_BYTES

    @property
    def removable(self) -> bool:
        """A card or a stick: it says so itself, or hangs at USB or a card reader."""
        where = str(self.sysfs.resolve())
        return (self.sysfs / "removable").read_text().strip() == "1" or "/usb" in where or "/mmc" in where


def main() -> int:
    """Do it and exit 0, or say why not and exit 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True, help="a link in /dev/disk/by-id")
    parser.add_argument("--image", required=True, type=Path, help="an image: .img, .raw, .img.xz or .img.gz")
    parser.add_argument("--sha256", required=True, help="the sum of that file")
    parser.add_argument("--first-boot", type=Path, help="settings for the boot partition, as visavis.toml")
    parser.add_argument("--fixed-disk", action="store_true", help="take a disk that is neither a card nor a stick")
    parser.add_argument("--check", action="store_true", help="only say whether it would be done")
    args = parser.parse_args()
    try:
        disk = disk_at(args.device)
        refuse_wrong_disk(disk, fixed_allowed=args.fixed_disk)
        refuse_wrong_image(args.image, args.sha256)
        if not args.check:
            write(disk, args.image)
            if args.first_boot:
                lay_first_settings(disk, args.first_boot)
    except Refused as refusal:
        print(f"card: {refusal}", file=sys.stderr)
        return 1
    print(f"{args.device}: {'would be written' if args.check else 'written, and read back the same'}")
    return 0


def disk_at(name: str) -> Disk:
    """The disk behind a name that stays the same when others are plugged in.

    Raises:
        Refused: it is another kind of name, nothing, or a part of a disk.
    """
    path = Path(name)
    if path.parent != BY_ID or not path.is_symlink():
        raise Refused(f"{name} is no link in {BY_ID}: names such as sdb change with what is plugged in")
    dev = path.resolve()
    if not dev.exists() or not stat.S_ISBLK(dev.stat().st_mode):
        raise Refused(f"{name} leads to {dev}, which is no disk")
    sysfs = Path("/sys/class/block") / dev.name
    if (sysfs / "partition").exists():
        raise Refused(f"{name} is a partition: name the whole disk, without -part")
    return Disk(dev.name, sysfs, dev)


def refuse_wrong_disk(disk: Disk, *, fixed_allowed: bool) -> None:
    """Refuse what is in use, or looks like a part of this machine."""
    used = {(Path("/sys/class/block") / name / "dev").read_text().strip(): name for name in disk.parts}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        numbers, where = before.split()[2], before.split()[4]
        # btrfs shows numbers of its own; its source is the partition all the same.
        numbers = numbers if numbers in used else numbers_of(after.split()[1])
        if numbers in used:
            raise Refused(
                f"{used[numbers]} is mounted at {where}: a disk in use is never written; unmount it if it is a card"
            )
    for line in Path("/proc/swaps").read_text().splitlines()[1:]:
        if Path(line.split()[0]).name in disk.parts:
            raise Refused(f"{line.split()[0]} is used as swap: this is a disk of the system")
    for name in disk.parts:
        for holder in (Path("/sys/class/block") / name / "holders").iterdir():
            raise Refused(f"{name} belongs to {holder.name} (RAID, LVM or encryption): this is a disk of the system")
    if (disk.sysfs / "ro").read_text().strip() == "1":
        raise Refused(f"{disk.name} is write-protected: slide the lock of the card")
    if not disk.removable and not fixed_allowed:
        raise Refused(f"{disk.name} is neither a card nor a stick: set card_fixed_disk if it is meant all the same")


def numbers_of(source: str) -> str:
    """Major and minor number of what is mounted, "" for what is no disk."""
    try:
        found = Path(source).stat()
    except OSError:
        return ""
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if stat.S_ISBLK(found.st_mode) else ""


def refuse_wrong_image(image: Path, sha256: str) -> None:
    """Refuse a file that is not what its sum says."""
    if image.suffix not in OPENERS:
        raise Refused(f"{image.name} is none of {', '.join(OPENERS)}: unpack it first")
    if not image.is_file():
        raise Refused(f"{image} is not there")
    with image.open("rb") as file:
        found = summed(file)
    if found != sha256.strip().lower():
        raise Refused(f"{image.name} has the sum {found}, not {sha256}: fetch or build it again")


def summed(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    for block in blocks(file):
        digest.update(block)
    return digest.hexdigest()


def blocks(file: BinaryIO, limit_bytes: int | None = None) -> Iterator[bytes]:
    """The file piece by piece, at most so much of it."""
    left = limit_bytes
    while left is None or left > 0:
        block = file.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            return
        left = None if left is None else left - len(block)
        yield block


def write(disk: Disk, image: Path) -> None:
    """Write, and compare what the disk then holds.

    Raises:
        Refused: the kernel says that the disk is in use, it is too small, fails, or holds something else afterwards.
    """
    try:
        descriptor = os.open(disk.dev, os.O_RDWR | os.O_EXCL)
    except OSError as error:
        raise Refused(f"{disk.name} cannot be taken: {error.strerror}") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as target:
        try:
            written, digest = copied(disk, image, target)
            compare(disk, target, digest, written)
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise Refused(f"{disk.name} or {image.name} fails, {error}: the disk is not whole; try another") from error


def copied(disk: Disk, image: Path, target: BinaryIO) -> tuple[int, str]:
    """Write the unpacked image from the disk's first byte on; how many bytes that were, and their sum."""
    digest, written = hashlib.sha256(), 0
    with OPENERS[image.suffix](image, "rb") as source:
        for block in blocks(source):
            if written + len(block) > disk.size_bytes:
                raise Refused(f"{disk.name} has {disk.size_bytes} bytes, and the image is larger: it is not whole now")
            put(target, block)
            digest.update(block)
            written += len(block)
    os.fsync(target.fileno())
    os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    target.seek(0)
    return written, digest.hexdigest()


def put(target: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[target.write(view) :]


def compare(disk: Disk, target: BinaryIO, wanted: str, written: int) -> None:
    digest = hashlib.sha256()
    for block in blocks(target, written):
        digest.update(block)
    if digest.hexdigest() != wanted:
        raise Refused(f"{disk.name} does not hold what was written to it: the card is worn out or not what it says")


def lay_first_settings(disk: Disk, settings: Path) -> None:
    """Copy the settings to the first partition, where a device looks for them when it starts for the first time.

    Raises:
        Refused: there is no such partition, or a program for it is missing.
    """
    table = json.loads(said("sfdisk", "--json", str(disk.dev)))["partitiontable"]
    start_byte = table["partitions"][0]["start"] * table.get("sectorsize", SECTOR_BYTES)
    # Without a mount: no kernel has to see the new partitions first, and no desktop gets in between.
    said("mcopy", "-o", "-i", f"{disk.dev}@@{start_byte}", str(settings), "::visavis.toml")


def said(*words: str) -> str:
    """What a program prints that must succeed."""
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise Refused(
            f"{words[0]} is missing: apt install fdisk mtools. The image is written, the settings are not"
        ) from error
    except subprocess.CalledProcessError as error:
        raise Refused(f"{error.stderr.strip()}: the image is written, the settings are not") from error


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The disk of an image: its table, small file systems, and what lies in which partition.

Which partitions there are is up to the board's boot loader; the first slot is filled, the second waits for an update.
The data partition is not part of it. A device makes it at its first start, on all the room that its own disk has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from image.errors import ImageError

MIB = 1 << 20
FIRST_MIB = 4
FIRST_PARTITION_MIB = 128
SLOT_MIB = 1024
EXT4_FEATURES = "extent,filetype,sparse_super,large_file"
ROOT_TYPES = {"amd64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "arm64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"}


@dataclass(frozen=True)
class Partition:
    """A line of the table; `filled_with` names what lies in it on a new device: `first`, `boot`, `root` or nothing."""

    label: str
    type: str
    size_mib: int
    filled_with: str = ""


@dataclass(frozen=True)
class Table:
    """The partitions of a board's image in the order of their numbers. The name makes every identifier in it."""

    board: str
    partitions: tuple[Partition, ...]

    @property
    def size_mib(self) -> int:
        """The whole image: all partitions, and room for both copies of the table."""
        return 2 * FIRST_MIB + sum(part.size_mib for part in self.partitions)

    def placed(self) -> Iterator[tuple[Partition, int]]:
        """Each partition with the MiB at which it begins."""
        start_mib = FIRST_MIB
        for part in self.partitions:
            yield part, start_mib
            start_mib += part.size_mib

    def size_of(self, filled_with: str) -> int:
        """The MiB that there are for a content."""
        return next(part.size_mib for part in self.partitions if part.filled_with == filled_with)

    def script(self) -> str:
        """The table as sfdisk reads it."""
        lines = [f"label: gpt\nlabel-id: {fixed_uuid(self.board, 'disk')}\nunit: sectors\n"]
        for part, start_mib in self.placed():
            start, size = start_mib * MIB // 512, part.size_mib * MIB // 512
            identity = fixed_uuid(self.board, part.label)
            lines.append(f'start={start}, size={size}, type={part.type}, uuid={identity}, name="{part.label}"\n')
        return "".join(lines)


def slots(architecture: str, size_mib: int = 0) -> tuple[Partition, Partition]:
    """The places of the two systems, which every board has; of the usual size where none is given."""
    kind, size_mib = ROOT_TYPES[architecture], size_mib or SLOT_MIB
    return Partition("visavis-a", kind, size_mib, "root"), Partition("visavis-b", kind, size_mib)


def fixed_uuid(board: str, name: str) -> uuid.UUID:
    """The same for every build of a board: an image's bytes are to be the same."""
    return uuid.UUID(bytes=hashlib.sha256(f"visavis {board} {name}".encode()).digest()[:16], version=4)


@dataclass(frozen=True)
class FileSystem:
    """A file system to be written: for which board, its name, its size, and the time of its files."""

    board: str
    label: str
    size_mib: int
    time_s: int


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Lay files out below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def fat(about: FileSystem, files: Path, image: Path) -> None:
    """Write a folder as a FAT file system whose bytes depend on its content alone.

    Raises:
        ImageError: the files do not fit.
    """
    paths = prepared(about, files, image)
    serial = fixed_uuid(about.board, about.label).hex[:8]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(about.time_s), "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    make = ["mkfs.vfat", "-F", "32", "-i", serial, "-n", about.label, "--invariant", str(image)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    for path in paths:
        target = f"::/{path.relative_to(files)}"
        folder, file = ["mmd", "-i", str(image), target], ["mcopy", "-m", "-i", str(image), str(path), target]
        subprocess.run(folder if path.is_dir() else file, check=True, env=environment)


def ext4(about: FileSystem, files: Path, image: Path) -> None:
    """Write a folder as an ext4 whose bytes depend on its content alone.

    It has no journal and no feature that a boot loader's driver may not know: nobody writes to it.

    Raises:
        ImageError: the files do not fit.
    """
    paths = prepared(about, files, image)
    identity = str(fixed_uuid(about.board, about.label))
    environment = {**os.environ, "E2FSPROGS_FAKE_TIME": str(about.time_s)}
    make = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-O", f"none,{EXT4_FEATURES}"]
    make += ["-L", about.label, "-U", identity, "-E", f"hash_seed={identity},root_owner=0:0,lazy_itable_init=0"]
    subprocess.run([*make, "-d", str(files), str(image)], check=True, env=environment)
    # mke2fs takes over when a file was made here, which nobody can set, and who made it.
    fields = (("ctime", f"@{about.time_s}"), ("uid", 0), ("gid", 0))
    names = [f'"/{path.relative_to(files)}"' for path in paths]
    script = "".join(f"set_inode_field {name} {field} {value}\n" for name in names for field, value in fields)
    write = ["debugfs", "-w", "-f", "/dev/stdin", str(image)]
    subprocess.run(write, input=script, text=True, check=True, env=environment, capture_output=True)


WRITERS = {"fat": fat, "ext4": ext4}


def prepared(about: FileSystem, files: Path, image: Path) -> list[Path]:
    """Give all files their time, make room for the image, and return what it is to hold.

    Raises:
        ImageError: the files do not fit.
    """
    paths = sorted(files.rglob("*"))
    content, room = sum(path.stat().st_size for path in paths if path.is_file()), about.size_mib * MIB
    if content > room * 9 // 10:  # the rest is for the file system itself
        raise ImageError(f"{about.label}: files of {content} bytes do not fit {about.size_mib} MiB: make it larger")
    for path in (files, *paths):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (about.time_s, about.time_s))
    with image.open("wb") as out:
        out.truncate(room)
    return paths


def must_fit(table: Table, contents: dict[str, Path]) -> None:
    """Refuse a content that is larger than its partition.

    Raises:
        ImageError: with its name.
    """
    for name, source in contents.items():
        size, room = source.stat().st_size, table.size_of(name) * MIB
        if size > room:
            raise ImageError(f"{source.name} has {size} bytes and its partition {room}: leave packages out")


def assemble(table: Table, contents: dict[str, Path], image: Path) -> None:
    """Write the image: the table, and in each partition what it is filled with, which has to fit (`must_fit`)."""
    image.unlink(missing_ok=True)
    with image.open("wb") as out:
        out.truncate(table.size_mib * MIB)
    subprocess.run(["sfdisk", "-q", str(image)], input=table.script(), text=True, check=True, stdout=subprocess.DEVNULL)
    for part, start_mib in table.placed():
        if part.filled_with:
            with image.open("r+b") as out, contents[part.filled_with].open("rb") as content:
                out.seek(start_mib * MIB)
                shutil.copyfileobj(content, out, 4 * MIB)

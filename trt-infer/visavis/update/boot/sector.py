# SPDX-License-Identifier: Apache-2.0
"""Small files that a power cut cannot halve: written in place, within one sector, never shorter or longer.

A FAT partition has no journal. A file that is made anew there can be lost with its folder entry, and the usual tools
(grub-editenv is one) empty a file before they write it. In place, no entry and no cluster changes.
"""

from __future__ import annotations

import os
from pathlib import Path

from visavis.errors import UpdateError

SECTOR = 512
MOUNT = "see whether the boot partition is mounted: `findmnt /boot/efi`"


def text_of(file: Path) -> str:
    """What a file holds; what is damaged in it looks as nothing that anybody asks for.

    Raises:
        UpdateError: it cannot be read, as where the boot partition is not mounted. That is no fresh device.
    """
    try:
        return file.read_text("ascii", "replace")
    except OSError as error:
        raise UpdateError(f"{file} cannot be read, {error.strerror}", MOUNT) from error


def overwrite(file: Path, text: str, filler: str) -> None:
    """Replace what a file holds by `text` and as much `filler` as its size asks for; on the disk when it returns.

    Raises:
        UpdateError: the file is not there, or `text` does not fit its first sector.
        OSError: it cannot be written.
    """
    content = text.encode()
    if len(content) > SECTOR:
        raise UpdateError(f"{file}: {len(content)} bytes do not fit one sector, and only that is written whole")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_SYNC)
    except FileNotFoundError as error:
        raise UpdateError(f"{file} is missing", "write the device's image anew") from error
    try:
        size = os.fstat(descriptor).st_size
        if len(content) > size:
            raise UpdateError(f"{file} has room for {size} bytes only", "write the device's image anew")
        os.pwrite(descriptor, content.ljust(size, filler.encode()), 0)
    finally:
        os.close(descriptor)


def values(text: str) -> dict[str, str]:
    """The lines NAME=VALUE of a text."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def lines(of: dict[str, str]) -> str:
    """The other way round."""
    return "".join(f"{name}={value}\n" for name, value in of.items())

# SPDX-License-Identifier: Apache-2.0
"""What root has made in a folder of somebody else becomes that one's: `sudo visavis` must shut no worker out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ONLY_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def handed_back(folder: Callable[[], Path]) -> Iterator[None]:
    """Give what is root's in the folder to the folder's owner after the block, whatever comes of that."""
    try:
        yield
    finally:
        if os.geteuid() == 0:
            with suppress(FileNotFoundError):
                _hand_back(folder())


def _hand_back(folder: Path) -> None:
    owner = folder.stat()
    if owner.st_uid == 0:
        return
    for _, folders, files, at in os.fwalk(folder):
        for name in (*folders, *files):
            with suppress(OSError):  # it went, or is a link: the owner may change everything here meanwhile
                _give(name, at, owner)


def _give(name: str, at: int, owner: os.stat_result) -> None:
    """Of what is open it is sure what it is. A file with another name elsewhere may be root's there."""
    opened = os.open(name, ONLY_LOOK, dir_fd=at)
    try:
        about = os.fstat(opened)
        only_here = stat.S_ISDIR(about.st_mode) or (stat.S_ISREG(about.st_mode) and about.st_nlink == 1)
        if about.st_uid == 0 and only_here:
            os.fchown(opened, owner.st_uid, owner.st_gid)
    finally:
        os.close(opened)

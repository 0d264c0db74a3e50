# SPDX-License-Identifier: Apache-2.0
"""What root has made in a cache of somebody else becomes that one's: `sudo visavis` must shut no worker out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What visavis makes in a cache; whatever else is in there is nobody's business.
FOLDERS, FILES = ("originals", "models", "engines"), ("recommended.json",)
ONLY_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def handed_back(cache: Callable[[], Path]) -> Iterator[None]:
    """Give what is root's in the cache to its owner after the block, whatever comes of that."""
    try:
        yield
    finally:
        if os.geteuid() == 0:
            # No cache, one closed to this sandbox, or no packages, without which `update` works: nothing was made.
            with suppress(OSError, ImportError):
                _hand_back(cache())


def _hand_back(cache: Path) -> None:
    for place, folders, files, at in os.fwalk(cache):
        if place == str(cache):
            owner = os.fstat(at)
            if owner.st_uid == 0:
                return
            folders[:], files[:] = set(folders) & set(FOLDERS), set(files) & set(FILES)
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

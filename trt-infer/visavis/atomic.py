# SPDX-License-Identifier: Apache-2.0
"""Files that are complete or not there, and that are where they seem to be."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NO_FILE = "it is no plain file"
# What stands behind the name of a draft.
DRAFT_BYTES = 4
DRAFT = "[0-9a-f]" * (2 * DRAFT_BYTES)
# What a disk without room answers.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoPlainFile(OSError):
    """Somebody has put a link, a pipe or a device in the place of a file; `filename` says where."""


def room_or(error: OSError, another: str) -> str:
    """Say what helps where a write failed: another place, or room where the disk has none."""
    return f"make room there, or {another}" if error.errno in NO_ROOM else another


def write_atomically(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file that is complete or not there, also when the power fails.

    Args:
        path: where; what is there is replaced.
        content: all of it.
        mode: its rights, whatever the umask is; None: those of any new file.

    Raises:
        OSError: nothing was written, and what was at `path` before is still there.
    """
    with written_anew(path) as file:
        if mode is not None:
            # The open file, not the name: where others may write into the folder, one might put a link in its place.
            os.fchmod(file.fileno(), mode)
        file.write(content)


def no_link(name: str, flags: int) -> int:
    """An `opener` for files in folders of other users: a link in its place has root write elsewhere, a pipe wait.

    Raises:
        NoPlainFile: it is none.
        OSError: it cannot be opened.
    """
    try:
        opened = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a pipe from which nobody reads
            raise NoPlainFile(errno.EINVAL, NO_FILE, name) from error
        raise
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise NoPlainFile(errno.EINVAL, NO_FILE, name)
    return opened


def lock_file(path: Path) -> BinaryIO:
    """Open a file for flock, which stays as it is.

    Raises:
        OSError: it cannot be opened or made, or is a link.
    """
    return open(path, "ab", opener=no_link)


@contextmanager
def written_anew(path: Path) -> Iterator[BinaryIO]:
    """The same for what takes long to make: what the block writes is at `path` when it ends without an error.

    Raises:
        OSError: as `write_atomically`; on entry where nothing can be written there at all.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(DRAFT_BYTES)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # there only when something ended the writing, Ctrl-C for one


def clear_drafts(folder: Path, names: str) -> None:
    """Remove what was left of writes that a kill or the power ended, as far as we may.

    Args:
        folder: where the files are.
        names: theirs, as `Path.glob` has it. Nobody else may write one of them now.
    """
    for draft in folder.glob(f".{names}.{DRAFT}"):
        with suppress(OSError):  # of another user: it stays
            draft.unlink()

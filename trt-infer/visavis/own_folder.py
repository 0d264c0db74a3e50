# SPDX-License-Identifier: Apache-2.0
"""A folder of one process, among the system's temporary files: as long as it lives, but not for ever after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

from visavis.atomic import room_or
from visavis.errors import VisavisError

# Whoever made the folder holds the lock on this file in it, until its process ends in whatever way.
MARK = "owner.lock"


class NoPlace(VisavisError):
    """Nothing can be written among the temporary files."""

    kind: ClassVar[str] = "no_place"


@contextmanager
def own_folder(prefix: str, place: Path | None = None) -> Iterator[Path]:
    """A new folder, which is removed at the end of the block.

    What killed processes of this user left behind there is removed first.

    Args:
        prefix: with which its name begins.
        place: in which folder it is made; in that for temporary files when None.

    Raises:
        NoPlace: it cannot be made.
    """
    with ExitStack() as afterwards:
        with written_to(place):
            folder = _made(prefix, place or Path(tempfile.gettempdir()), afterwards)
        yield folder


def _made(prefix: str, parent: Path, afterwards: ExitStack) -> Path:
    remove_ownerless(parent, prefix)
    folder = Path(afterwards.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=parent)))
    for descriptor in (own(folder), kept(folder)):
        afterwards.callback(os.close, descriptor)
    return folder


def put(file: Path, text: str) -> None:
    """Write a file in such a folder.

    Raises:
        NoPlace: there is no room for it.
    """
    with written_to(file.parent):
        file.write_text(text, encoding="utf-8")


@contextmanager
def written_to(folder: Path | None) -> Iterator[None]:
    """Name a folder for temporary files, None for the usual one, and what moves it where the block cannot write there.

    Raises:
        NoPlace: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        where = f" {folder or tempfile.tempdir or ''}".rstrip()
        raise NoPlace(
            f"the folder for temporary files{where} cannot be written, {error.strerror}",
            room_or(error, "set TMPDIR to another folder"),
        ) from error


def own(folder: Path) -> int:
    """Mark a folder as ours while the descriptor is open. The mark gets its name when it is locked, not before."""
    draft = folder / f"{MARK}.new"
    mark = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    fcntl.flock(mark, fcntl.LOCK_EX)
    draft.rename(folder / MARK)
    return mark


def kept(folder: Path) -> int:
    """Lock a folder itself while the descriptor is open, so systemd-tmpfiles, which removes old files, skips it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove_ownerless(parent: Path, prefix: str) -> None:
    """Remove the folders of this user in `parent` that have a mark and no living owner."""
    for mark in parent.glob(f"{prefix}*/{MARK}"):
        if ownerless(mark):
            # Errors: a broker or daemon that is just ending may still write there. A few bytes stay then.
            shutil.rmtree(mark.parent, ignore_errors=True)


def ours(folder: Path) -> bool:
    """Whether it is a folder of this user, not a link to one: where everybody may make folders, names prove nothing."""
    try:
        about = folder.lstat()
    except OSError:  # removed just now
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def ownerless(mark: Path) -> bool:
    """Whether nobody holds this mark, and it is of this user."""
    try:
        descriptor = os.open(mark, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # another user's, or removed just now
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_uid == os.geteuid()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)

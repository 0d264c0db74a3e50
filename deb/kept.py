# SPDX-License-Identifier: Apache-2.0
"""Folders that take minutes to make and are kept under the hash of their recipe."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / ".cache" / "vm"


def kept(name: str, build_in: Callable[[Path], None]) -> Path:
    """A folder of the cache; made by `build_in`, whole or not at all, when it is not there."""
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = Path(mkdtemp(dir=CACHE, prefix="building-"))
        try:
            build_in(draft)
            move(draft, folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # what was wrong is worth more than what stays
            raise
    return folder


def move(draft: Path, folder: Path) -> None:
    """Put a whole folder into its place, unless another process has put its own there meanwhile."""
    try:
        draft.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(draft)


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """For what two processes must not make at once, such as the same package; also a decorator."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

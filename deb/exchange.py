# SPDX-License-Identifier: Apache-2.0
"""A folder that others read at any moment, exchanged for a new one as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exchanged(out: Path) -> Iterator[Path]:
    """Yield where a new folder is to be made; it takes the place of `out` when the block ends without an error.

    Until then, and after an error, `out` is what it was.
    """
    out = out.resolve()  # of a link, what it leads to
    draft = _beside(out, "new")
    try:
        yield draft
        _exchange(draft, out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _beside(out: Path, word: str) -> Path:
    """A folder that is not there, on the same file system and with the rights that a web server needs."""
    folder = out.with_name(f".{out.name}.visavis-{word}")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
    return folder


def _exchange(draft: Path, out: Path) -> None:
    """Put a whole folder into the place of the old one, which is deleted only then."""
    old = _beside(out, "old")
    if out.exists():
        out.rename(old)
    try:
        draft.rename(out)
    except BaseException:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)

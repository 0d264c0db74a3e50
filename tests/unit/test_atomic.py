# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from visavis.atomic import write_atomically

from deb.broker import join

Write = Callable[[Path, bytes], None]


def write_as_join_does(file: Path, content: bytes) -> None:
    """The one in the package visavis-broker, which is there without ours."""
    join.write(file, content.decode(), 0o644)


@pytest.mark.parametrize("write", [write_atomically, write_as_join_does])
@pytest.mark.parametrize("reason", [OSError("no room"), KeyboardInterrupt()])
def test_what_ends_a_write_leaves_the_file_of_before_and_nothing_else(
    write: Write, reason: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise reason

    file = tmp_path / "file"
    write(file, b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(reason)):
        write(file, b"after")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"before"}


def test_a_secret_is_its_writers_alone_from_the_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had opened the draft before its rights were set would read what is written to it later."""
    modes: list[int] = []
    monkeypatch.setattr(os, "fchown", lambda number, *_: modes.append(stat.S_IMODE(os.fstat(number).st_mode)))
    before = os.umask(0o022)
    try:
        (tmp_path / ".left.new").write_text("by a run that was cut off")
        join.write(tmp_path / "credstore" / "secret", "secret", 0o600)
        join.write(tmp_path / "left", "for all", 0o644)
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    made = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert made == {"credstore": 0o700, "credstore/secret": 0o600, "left": 0o644}

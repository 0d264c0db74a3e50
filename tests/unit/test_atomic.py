# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
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

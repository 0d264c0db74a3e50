# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest
from visavis.atomic import write_atomically


@pytest.mark.parametrize("reason", [OSError("no room"), KeyboardInterrupt()])
def test_what_ends_a_write_leaves_the_file_of_before_and_nothing_else(
    reason: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise reason

    file = tmp_path / "file"
    write_atomically(file, b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(reason)):
        write_atomically(file, b"after")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"before"}

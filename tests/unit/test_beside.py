# SPDX-License-Identifier: Apache-2.0
"""The packages beside `visavis` are made by one process at a time: another would empty the folder under its hands."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from deb import beside, kept


@pytest.mark.parametrize("make", [beside.broker, beside.tensorrt])
def test_a_package_is_not_made_twice_at_once(
    make: Callable[[str, Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def packed(*_: object) -> Path:
        with (tmp_path / "packages.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)
        return tmp_path

    monkeypatch.setattr(kept, "CACHE", tmp_path)
    monkeypatch.setattr(beside, "pack", packed)
    make("1.0", tmp_path / "out")
    assert held == [True]

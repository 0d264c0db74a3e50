# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from deb import cross, kept


def test_other_packages_are_not_looked_for_in_an_old_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[tuple[str, ...]] = []

    def unpack(target: cross.Target, packages: tuple[str, ...], folder: Path) -> None:
        unpacked.append(packages)
        (folder / "root").touch()

    monkeypatch.setattr(kept, "CACHE", tmp_path)
    monkeypatch.setattr(cross, "unpack", unpack)
    before = cross.sysroot(cross.TRIXIE)
    assert cross.sysroot(cross.TRIXIE) == before
    assert cross.sysroot(cross.TRIXIE, ("one-more",)) != before
    assert [len(packages) for packages in unpacked] == [5, 4]

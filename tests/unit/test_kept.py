# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from deb import kept


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept, "CACHE", tmp_path)
    return tmp_path


def write(text: str, folder: Path) -> None:
    (folder / "file").write_text(text)


def test_a_folder_is_made_once(cache: Path) -> None:
    assert kept.kept("name", lambda folder: write("first", folder)) == cache / "name"
    kept.kept("name", lambda folder: write("second", folder))
    assert (cache / "name" / "file").read_text() == "first"


def test_a_folder_that_another_process_made_meanwhile_is_as_good(cache: Path) -> None:
    def build(folder: Path) -> None:
        write("ours", folder)
        (cache / "name").mkdir()
        write("theirs", cache / "name")

    assert kept.kept("name", build) == cache / "name"
    assert [path.name for path in cache.iterdir()] == ["name"]
    assert (cache / "name" / "file").read_text() == "theirs"


def test_nothing_stays_of_a_folder_that_could_not_be_made(cache: Path) -> None:
    def build(folder: Path) -> None:
        write("half", folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        kept.kept("name", build)
    assert not any(cache.iterdir())

# SPDX-License-Identifier: Apache-2.0
"""What `sudo visavis` makes in the workers' cache is the workers' afterwards, and nothing else is touched."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from visavis.handed_back import handed_back

from tests.unit.command import visavis
from tests.unit.test_doctor import NOBODY, workers_folder

__all__ = ["workers_folder"]


def test_what_root_makes_in_the_workers_folder_is_theirs_afterwards(workers_folder: Path, tmp_path: Path) -> None:
    def fills() -> None:
        with handed_back(lambda: workers_folder):
            (workers_folder / "engines").mkdir()
            (workers_folder / "engines" / "one").touch()
            (workers_folder / "engines" / "link").symlink_to(kept)
            (workers_folder / "notes").touch()
            raise KeyError

    (workers_folder / "models").mkdir()
    kept, twice = tmp_path / "kept", workers_folder / "models" / "of root"
    kept.touch()
    twice.touch()
    os.link(twice, workers_folder / "models" / "another name of it")
    with suppress(KeyError):
        fills()
    owners = {one.name: one.lstat().st_uid for one in workers_folder.rglob("*")}
    theirs = dict.fromkeys(("engines", "one", "models"), NOBODY)
    assert owners == theirs | dict.fromkeys(("link", "notes", "of root", "another name of it"), 0)
    assert kept.stat().st_uid == 0


def test_a_command_of_root_hands_back_what_it_made(workers_folder: Path) -> None:
    answer = visavis("model", "prepare", "centerface", variables={"VISAVIS_CACHE_DIR": str(workers_folder)})
    assert answer.returncode == 0, answer.stderr
    assert {one.stat().st_uid for one in workers_folder.rglob("*")} == {NOBODY}


@pytest.mark.parametrize("cache", ["none", "a file"])
def test_a_cache_that_is_none_takes_nothing_from_what_was_asked(cache: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    answer = visavis("model", "list", variables={"VISAVIS_CACHE_DIR": str(tmp_path / cache)})
    assert (answer.returncode, answer.stderr) == (0, "")


def test_what_the_block_raises_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(KeyError), handed_back(lambda: tmp_path / "none"):
        raise KeyError


def test_a_command_that_needs_no_package_works_without_any(tmp_path: Path) -> None:
    """As `visavis update` does, to mend a device that lacks them."""
    (tmp_path / "msgspec.py").write_text("raise ImportError('it is not installed')")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    answer = visavis("update", "status", variables=path)
    assert answer.returncode == 1
    assert "it is not installed" not in answer.stderr
    assert "rauc" in answer.stderr, "what it really lacks here"

# SPDX-License-Identifier: Apache-2.0
"""Folders of a process among the temporary files: gone with it, or with the next one where it was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest
import visavis.broker
from visavis.broker import state_folder
from visavis.crew import run_folder
from visavis.models.manifest import original
from visavis.own_folder import MARK, ours, own_folder

from tests.unit.command import PROGRAM, complaints

Folder = Callable[[], AbstractContextManager[Path]]
OWNER = """
import sys
from pathlib import Path
import visavis.broker
visavis.broker.MEMORY = Path(sys.argv[1])
from {0} import {1}
with {1}() as folder: print(folder, flush=True); sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place for temporary files, which mosquitto's user may enter, where nobody else removes what is left behind."""
    with tempfile.TemporaryDirectory(prefix="place-") as place:
        Path(place).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", place)
        monkeypatch.setenv("TMPDIR", place)
        monkeypatch.setattr(visavis.broker, "MEMORY", Path(place))
        yield


def killed(make: Folder) -> Path:
    """The folder of a process that was killed."""
    program = OWNER.format(make.__module__, make.__name__)
    command = [sys.executable, "-c", program, tempfile.gettempdir()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        folder = Path(owner.stdout.readline().decode().strip())
        assert folder.is_dir()
        with make():
            assert folder.is_dir(), "it was removed while its owner lived"
        owner.kill()
    return folder


@pytest.mark.parametrize("make", [run_folder, state_folder])
def test_what_a_kill_left_behind_is_removed_by_the_next_one(make: Folder) -> None:
    left = killed(make)
    assert left.is_dir(), "this test sees nothing: the owner removed it by itself"
    (left / "mosquitto.db").touch()
    with make() as folder:
        assert folder.parent == left.parent
        assert not left.exists()
    assert not folder.exists()


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="nothing removes old files here")
def test_it_stays_as_long_as_its_owner_when_old_files_are_removed(tmp_path: Path) -> None:
    cleaning = tmp_path / "cleaning.conf"
    cleaning.write_text(f"e {tmp_path}/place - - - 0\n")
    place = tmp_path / "place"
    place.mkdir()
    with own_folder("visavis-", place) as folder:
        for file in (folder / "mosquitto.conf", place / "old"):
            file.touch()
        subprocess.run(["systemd-tmpfiles", "--clean", cleaning], check=True)
        assert (folder / "mosquitto.conf").exists()
        assert not (place / "old").exists(), "this test sees nothing: nothing was removed"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder with a mark that nobody holds."""
    folder = tmp_path / "visavis-left"
    folder.mkdir()
    (folder / MARK).touch()
    return folder


def test_other_users_folders_and_those_without_a_mark_stay(
    left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "visavis-notes").mkdir()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with own_folder("visavis-", tmp_path):
        assert left.exists()
    monkeypatch.setattr(os, "geteuid", lambda: me)
    with own_folder("visavis-", tmp_path):
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["visavis-notes"]


def test_a_link_to_a_folder_of_this_user_is_none_of_its_folders(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert [ours(tmp_path / name) for name in ("folder", "file", "link", "gone")] == [True, False, False, False]


def test_a_link_to_a_folder_elsewhere_leads_to_no_removal(left: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "visavis-link").symlink_to(left)
    with own_folder("visavis-", place):
        assert (left / MARK).exists()


@pytest.mark.parametrize("inodes", [2, 3], ids=["for the folder's mark", "for what is in it"])
def test_a_full_disk_is_named_with_what_moves_the_folder(inodes: int, tmp_path: Path) -> None:
    run_without_room(f"nr_inodes={inodes}", tmp_path, "run")


@pytest.mark.parametrize(
    "work", [("import", "mine.onnx"), ("quantize", "centerface", "--input", "96x64", "--pictures", "pictures")]
)
def test_long_work_without_room_names_what_moves_its_folder(work: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(original("centerface").content)
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), np.zeros((64, 96, 3), np.uint8))
    place = tmp_path / "place"
    place.mkdir()
    run_without_room("size=64k", place, "model", *work)


def run_without_room(options: str, place: Path, *words: str) -> None:
    """Run a command whose folder for temporary files is a small disk, and see what it says."""
    script = f'mount -t tmpfs -o {options} none {place} && exec "$@"'
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script, "sh", PROGRAM, *words]
    environment = {**os.environ, "TMPDIR": str(place), "VISAVIS_CACHE_DIR": str(place.parent / "cache")}
    answer = subprocess.run(command, env=environment, cwd=place.parent, capture_output=True, text=True, check=False)
    said = complaints(answer)[-1]
    assert answer.returncode == 1
    assert said.startswith(f"visavis: the folder for temporary files {place}"), answer.stderr
    assert said.endswith("cannot be written, No space left on device: make room there, or set TMPDIR to another folder")

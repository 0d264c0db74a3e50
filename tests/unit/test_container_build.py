# SPDX-License-Identifier: Apache-2.0
"""When the Debians below the images of containers are made anew, and for which processor."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from containers import build
from deb.kept import REPOSITORY
from tests.unit.own_system import alone
from tests.waiting import HANG_S


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "CACHE", tmp_path / "vm")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # buildah's notes of what is mounted
    return tmp_path / "vm"


def test_images_are_made_anew_each_month_and_the_former_ones_take_no_place(cache: Path) -> None:
    (cache / "containers").mkdir(parents=True)
    (cache / "base-generic-amd64-17").mkdir()  # a system's image, which has a recipe of its own
    (cache / "base-trixie-amd64").mkdir()
    (cache / "base-bookworm-arm64").mkdir()
    october = build.folder_of("2026-10")
    (october / "made").mkdir()
    assert build.folder_of("2026-10") == october
    assert (october / "made").exists()
    november = build.folder_of("2026-11")
    assert sorted(cache.iterdir()) == sorted([cache / "base-generic-amd64-17", november])
    assert not any(november.iterdir())


@pytest.mark.skipif(shutil.which("buildah") is None, reason="`scripts/setup.sh vm` installs buildah")
def test_a_build_that_failed_does_not_keep_the_next_month_from_being_made(cache: Path, tmp_path: Path) -> None:
    october = build.folder_of("2026-10")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /\nRUN ["/none"]\n')
    command = build.in_store(october, "build", "-q", "--isolation=chroot", "--layers", str(tmp_path))
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "/none" in failed.stderr, failed.stderr
    november = build.folder_of("2026-11")
    assert list(cache.iterdir()) == [november]


def test_what_cannot_be_removed_is_told_and_keeps_nobody_from_building(cache: Path, tmp_path: Path) -> None:
    busy = cache / "containers-2026-10" / "busy"
    busy.mkdir(parents=True)
    (cache / "containers-2026-09").mkdir()
    made = "from containers import build; build.CACHE = build.Path('vm'); build.folder_of('2026-11')"
    program = f'PYTHONPATH={REPOSITORY} {sys.executable} -c "{made}"'
    done = alone(tmp_path, f"mount -t tmpfs none {busy} && {program}", HANG_S)
    assert done.returncode == 0, done.stderr
    assert "containers: vm/containers-2026-10 of another month cannot be removed" in done.stderr
    assert sorted(path.name for path in cache.iterdir()) == ["containers-2026-10", "containers-2026-11"]


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_images_are_for_the_machines_own_processor_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(build, "NATIVE", architecture)
    assert build.parsed([]).arch == architecture
    assert build.parsed(["--arch", "arm64", "daemon"]).arch == "arm64"

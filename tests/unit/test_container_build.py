# SPDX-License-Identifier: Apache-2.0
"""When the Debians below the images of containers are made anew, and for which processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from containers import build


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "CACHE", tmp_path / "vm")
    return tmp_path / "vm"


def test_images_are_made_anew_each_month_and_the_former_ones_take_no_place(cache: Path) -> None:
    (cache / "containers").mkdir(parents=True)
    (cache / "base-generic-amd64-17").mkdir()  # a system's image, which has a recipe of its own
    october = build.folder_of("2026-10")
    (october / "store").mkdir()
    assert build.folder_of("2026-10") == october
    assert (october / "store").exists()
    november = build.folder_of("2026-11")
    assert sorted(cache.iterdir()) == sorted([cache / "base-generic-amd64-17", november])
    assert not any(november.iterdir())


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_images_are_for_the_machines_own_processor_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(build, "NATIVE", architecture)
    assert build.parsed([]).arch == architecture
    assert build.parsed(["--arch", "arm64", "daemon"]).arch == "arm64"

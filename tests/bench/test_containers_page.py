# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from containers.build import TARGETS
from tests.bench.containers import PROGRAMS, SIZE_MOST_MB, Started, page, parts
from tests.bench.containers_arm64 import part, rows, unpacked_mb
from tests.bench.page import Bar
from tests.repo.test_laws import ROOT

SIZES = [Bar(f"visavis-{name}", 100.4 + number, SIZE_MOST_MB, "MB") for number, name in enumerate(TARGETS)]
TIMES = {program.title: Started(1.234, 5.678) for program in PROGRAMS}


def test_the_page_tells_each_image_and_each_start() -> None:
    lines = page(SIZES, {"rival-flask": 312.6}, TIMES)
    for number, name in enumerate(TARGETS):
        assert f"| `visavis-{name}` | {100 + number} MB | ≤ 350 MB |" in lines
    assert "| `rival-flask` | 313 MB |  |" in lines
    for program in PROGRAMS:
        assert f"| {program.title} | 1.23 s | 5.68 s |" in lines


def test_the_page_in_the_repository_is_of_this_form_and_holds_its_bars() -> None:
    measured, arm64 = parts((ROOT / "docs/reference/containers.md").read_text())
    for name in TARGETS:
        (row,) = [line for line in measured.splitlines() if line.startswith(f"| `visavis-{name}` | ")]
        assert int(row.split("|")[2].split()[0]) <= SIZE_MOST_MB
    assert 0 < max(rows(arm64).values()) <= SIZE_MOST_MB
    assert all(f"| {program.title} | " in measured for program in PROGRAMS)


def test_each_of_the_two_runs_leaves_what_the_other_one_wrote() -> None:
    measured = "\n".join(page(SIZES, {}, TIMES)) + "\n"
    assert parts(measured) == (measured, "")
    assert parts(measured + part(SIZES)) == (measured, part(SIZES))
    assert rows(part(SIZES)) == {name: 100 + number for number, name in enumerate(TARGETS)}


def test_an_archive_weighs_what_the_files_of_its_layers_hold(tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    manifest = json.dumps([{"Config": "config.json", "Layers": ["a.tar", "b.tar"]}]).encode()
    with tarfile.open(file, "w") as archive:
        add(archive, "a.tar", layer(one=300_000, two=100))
        add(archive, "b.tar", layer(three=700_000))
        add(archive, "config.json", bytes(5_000))
        add(archive, "manifest.json", manifest)
    assert unpacked_mb(file) == 1.0001


def layer(**sizes: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, size in sizes.items():
            add(archive, name, bytes(size))
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))

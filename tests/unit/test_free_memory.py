# SPDX-License-Identifier: Apache-2.0
"""How much memory is said to be free, and what is refused for want of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from visavis import free_memory
from visavis.cli import main
from visavis.errors import PictureError
from visavis.free_memory import check_room, free

GIB = 1 << 30


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 8 GiB free; the process is in a unit inside a slice, neither limited."""
    write(tmp_path / "proc/meminfo", f"MemTotal: 99 kB\nMemAvailable:  {8 * GIB // 1024} kB\n")
    write(tmp_path / "proc/self/cgroup", "0::/a.slice/b.service\n")
    for group in ("a.slice", "a.slice/b.service"):
        write(tmp_path / "groups" / group / "memory.max", "max\n")
        write(tmp_path / "groups" / group / "memory.current", f"{GIB}\n")
    return tmp_path


def free_of(machine: Path) -> int:
    return free(machine / "proc", machine / "groups")


def test_the_machine_and_each_group_around_the_process_bound_what_is_free(machine: Path) -> None:
    assert free_of(machine) == 8 * GIB
    write(machine / "groups/a.slice/memory.max", f"{4 * GIB}\n")
    assert free_of(machine) == 3 * GIB
    write(machine / "groups/a.slice/b.service/memory.max", f"{GIB // 2}\n")
    assert free_of(machine) == 0


def test_where_nothing_is_told_everything_is_free(tmp_path: Path) -> None:
    assert free_of(tmp_path) == 1 << 62


def test_this_machine_says_how_much_it_has() -> None:
    assert 0 < free() < 1 << 62


def test_the_refusal_names_a_size_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: GIB)
    check_room("--input 2368x2368", 2368, 2368)
    with pytest.raises(PictureError, match=r"--input 8192x8192 takes about 12160 MiB.* 1024 MiB .* at most 2368x2368"):
        check_room("--input 8192x8192", 8192, 8192)
    monkeypatch.setattr(free_memory, "free", lambda: 0)
    with pytest.raises(PictureError, match="free some memory"):
        check_room("--input 32x32", 32, 32)


def test_what_a_run_has_taken_is_free_again_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: 400 << 20)
    check_room("first", 1344, 1344)
    with pytest.raises(PictureError, match="second takes about 667 MiB"):
        check_room("second", 1920, 1920)


def test_detect_refuses_an_input_for_which_there_is_no_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: GIB)
    assert main(["detect", "build/demo/face.jpg", "--input", "8192x8192"]) == 2
    assert "--input 8192x8192 takes about 12160 MiB" in capsys.readouterr().err


def test_detect_refuses_a_picture_for_which_there_is_no_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(free_memory, "free", lambda: 1 << 20)
    assert main(["detect", "build/demo/face.jpg"]) == 1
    assert "build/demo/face.jpg" in (said := capsys.readouterr().err)
    assert "choose an --input of at most 64x64" in said

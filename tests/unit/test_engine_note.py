# SPDX-License-Identifier: Apache-2.0
"""What the daemon is told about engines; that it understands it is tested in tests/e2e/test_engine.py."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from visavis.engines import note as module
from visavis.engines.note import EngineNote, Progress, note_path
from visavis.engines.note_gen import TEXTS, Note
from visavis.engines.progress import ELSEWHERE

from tests.waiting import HANG_S, until


@pytest.fixture
def note(tmp_path: Path) -> EngineNote:
    return EngineNote(note_path(tmp_path / "frames.sock"), "centerface", "fp16")


def told(note: EngineNote) -> Note:
    return msgspec.json.decode(note.path.read_bytes(), type=Note)


def go_on(_fraction: float, _phase: str) -> bool:
    return True


def test_a_build_is_told_in_whole_percents(note: EngineNote) -> None:
    note.building(0.429, "Timing layers", 5)
    found = told(note)
    assert (found.schema, found.state, found.model, found.precision) == (1, "building", "centerface", "fp16")
    assert (found.percent, found.phase, found.began_ns, found.error) == (42, "Timing layers", 5, "")
    assert 0 < found.told_ns <= time.monotonic_ns()


def test_a_failure_is_told_with_its_reason_until_it_is_cleared(note: EngineNote) -> None:
    note.failed("no GPU: look at `nvidia-smi`")
    assert (told(note).state, told(note).error) == ("failed", "no GPU: look at `nvidia-smi`")
    note.clear()
    assert not note.path.exists()
    note.clear()


def test_what_strangers_say_is_cut_and_made_harmless(note: EngineNote) -> None:
    note.building(0.5, "a\x1b[2J\nb" + "é" * 500, 1)
    assert told(note).phase.startswith(r"a\x1b[2J bé")
    assert len(told(note).phase) == TEXTS["phase"]
    note.failed("why" * 1_000)
    assert len(told(note).error) == TEXTS["error"]


def test_a_setting_that_is_no_number_format_is_left_out(tmp_path: Path) -> None:
    note = EngineNote(tmp_path / "engine.json", "centerface", "auto")
    note.failed("why")
    assert told(note).precision == ""


def test_a_build_is_told_from_its_first_word_to_its_end(note: EngineNote) -> None:
    with Progress(note, go_on) as report:
        assert not note.path.exists()
        assert report(0.25, "Parsing")
        until(note.path.exists, "it is told")
        assert (told(note).state, told(note).percent, told(note).phase) == ("building", 25, "Parsing")
    assert not note.path.exists()


def test_the_note_is_renewed_while_the_builder_is_silent(note: EngineNote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_MS", 1)
    with Progress(note, go_on) as report:
        report(0.25, "Timing layers")
        until(note.path.exists, "it is told")
        first = told(note)
        until(lambda: told(note).told_ns > first.told_ns, "it is told again")
        assert told(note).began_ns == first.began_ns


def test_who_may_stop_the_build_still_does(note: EngineNote) -> None:
    with Progress(note, lambda _fraction, _phase: False) as report:
        assert not report(0.1, "Parsing")
    with Progress(None, go_on) as report:
        assert report(0.1, "Parsing")


def test_a_note_that_cannot_be_written_is_said_once_and_the_build_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEAT_MS", 1)
    (tmp_path / "notes").write_text("no folder")
    note = EngineNote(note_path(tmp_path / "frames.sock"), "centerface", "fp16")
    with Progress(note, go_on) as report:
        assert report(0.1, "Parsing")
        report._thread.join(HANG_S)
        assert report(0.2, "Parsing")
    assert caplog.text.count("cannot tell the daemon about the engine") == 1


def test_who_waits_for_another_build_leaves_the_note_to_that_one(note: EngineNote) -> None:
    with Progress(note, go_on) as report:
        report(0.0, ELSEWHERE)
        assert not note.path.exists()
        report(0.0, "Reading the model")
        until(note.path.exists, "the note of our own build")
    note.building(0.5, "Timing layers", 5)
    with Progress(note, go_on) as report:
        report(0.0, ELSEWHERE)
    assert told(note).phase == "Timing layers"

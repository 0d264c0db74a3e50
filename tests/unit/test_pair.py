# SPDX-License-Identifier: Apache-2.0
"""A model and its record: whatever ends a change, the pair of before or the one that comes is there; no drafts stay."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from visavis.errors import ModelError
from visavis.models import cache, imported, quantized
from visavis.models.identify import identified
from visavis.models.manifest import original
from visavis.models.pair import record_path
from visavis.models.processor import processor_name

from tests.unit.model_files import scrfd_like

SIZE = (320, 256)
BEFORE, AFTER = b"before", b"after"


class Cut(BaseException):
    """The power goes."""


def keep(folder: Path, content: bytes) -> None:
    """Keep what stands for an int8 model, as `visavis model quantize` does."""
    measured = quantized.Measured(calibrated=1, compared=1, faces=1, different=0, allowed_loss=0.01, speed=2.0)
    source = original("centerface")
    record = quantized.Record(
        name="centerface",
        original_sha256=source.sha256,
        prepared_sha256="",
        quantized_sha256=hashlib.sha256(content).hexdigest(),
        width=SIZE[0],
        height=SIZE[1],
        preparation=cache.PREPARATION,
        recipe=quantized.RECIPE,
        processor=processor_name(),
        onnxruntime="",
        measured=measured,
    )
    quantized.keep(int8_path(folder), content, record)


def int8_path(folder: Path) -> Path:
    return quantized.quantized_path(original("centerface"), *SIZE, folder)


def loaded(folder: Path) -> bytes:
    """What a worker loads; `visavis model verify` finds it good too."""
    content = quantized.quantized_model("centerface", *SIZE, folder).content
    (kept,) = quantized.all_kept(folder)
    assert quantized.verify(kept, "centerface").quantized_sha256 == hashlib.sha256(content).hexdigest()
    return content


def fail_at(nth: int, patch: pytest.MonkeyPatch, function: str, reason: BaseException) -> None:
    """Let the nth call of a function of `os` fail, and all after it."""
    real, calls = getattr(os, function), 0

    def fails(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= nth:
            raise reason
        return real(*args)

    patch.setattr(os, function, fails)


@pytest.mark.parametrize("nth", [1, 2])
def test_a_full_disk_costs_no_int8_model_that_was_there(
    nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, BEFORE)
    with monkeypatch.context() as full:
        fail_at(nth, full, "fsync", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(ModelError, match="No space left on device"):
            keep(tmp_path, AFTER)
    assert loaded(tmp_path) == BEFORE
    keep(tmp_path, AFTER)
    assert loaded(tmp_path) == AFTER
    names = {path.name for path in int8_path(tmp_path).parent.iterdir() if path.suffix != ".lock"}
    assert names == {int8_path(tmp_path).name, record_path(int8_path(tmp_path)).name}


@pytest.mark.parametrize(("nth", "left"), [(1, BEFORE), (2, BEFORE), (3, AFTER)])
def test_whenever_the_power_goes_one_of_both_int8_models_loads(
    nth: int, left: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, BEFORE)
    with monkeypatch.context() as cut:
        fail_at(nth, cut, "replace", Cut())
        with pytest.raises(Cut):
            keep(tmp_path, AFTER)
    assert loaded(tmp_path) == left
    keep(tmp_path, AFTER)
    assert loaded(tmp_path) == AFTER


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_whenever_the_power_goes_a_prepared_model_is_whole_or_made_again(
    nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        fail_at(nth, cut, "replace", Cut())
        with pytest.raises(Cut):
            cache.prepared_model("centerface", *SIZE, tmp_path)
    if nth == 3:
        monkeypatch.delattr(cache, "_prepare")  # it is not made again
    made = cache.prepared_model("centerface", *SIZE, tmp_path)
    assert made.path is not None
    assert cache.verify(made.path, original("centerface").sha256) is not None
    assert [record.name for record in cache.records(tmp_path)] == ["centerface"]


def test_drafts_that_killed_workers_left_go_when_the_model_is_made(tmp_path: Path) -> None:
    """Each has the size of the model: a disk that hangs would be full of them after a day."""
    path = cache.cached_path(original("centerface"), *SIZE, tmp_path)
    path.parent.mkdir()
    drafts = [path.with_name(f".{name}.0123abcd") for name in (path.name, record_path(path).name)]
    others = [path.with_name(".another.onnx.0123abcd"), path.with_name(f".{path.name}.mine")]
    for file in drafts + others:
        file.touch()
    cache.prepared_model("centerface", *SIZE, tmp_path)
    assert [file.exists() for file in drafts + others] == [False, False, True, True]


def test_drafts_of_an_import_that_was_killed_go_with_the_next(tmp_path: Path) -> None:
    content = scrfd_like()
    entry = identified(content, Path("mine.onnx"))
    folder = imported.keep("mine", entry, content, tmp_path).parent
    drafts = [folder / f".mine-{'0' * 16}.onnx.0123abcd", folder / ".mine.json.0123abcd"]
    other = folder / f".mine-2-{'0' * 16}.onnx.0123abcd"
    for file in (*drafts, other):
        file.touch()
    imported.keep("mine", entry, content, tmp_path)
    assert [file.exists() for file in (*drafts, other)] == [False, False, True]

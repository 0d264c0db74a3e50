# SPDX-License-Identifier: Apache-2.0
"""Prepared models: made once, complete or not there, and never believed with a byte changed."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
from pathlib import Path

import onnx
import pytest
from visavis.models import cache, quantized
from visavis.models.manifest import original

SIZE = (320, 256)


def prepared(folder: Path) -> cache.Prepared:
    return cache.prepared_model("centerface", *SIZE, cache_dir=folder)


def digest(folder: Path) -> str:
    return hashlib.sha256(prepared(folder).content).hexdigest()


def test_the_second_time_comes_from_the_cache_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(tmp_path)

    def forbidden(*_: object) -> bytes:
        raise AssertionError("prepared again although it is kept")

    monkeypatch.setattr(cache, "_prepare", forbidden)
    assert prepared(tmp_path).content == first.content


def test_a_changed_byte_is_noticed_and_the_model_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = prepared(tmp_path)
    assert first.path is not None
    spoiled = bytearray(first.content)
    spoiled[len(spoiled) // 2] ^= 1
    first.path.write_bytes(spoiled)
    with caplog.at_level(logging.WARNING):
        again = prepared(tmp_path)
    assert again.content == first.content
    assert first.path.read_bytes() == first.content
    assert "not what was written" in caplog.text


def test_a_model_without_its_record_is_not_believed(tmp_path: Path) -> None:
    first = prepared(tmp_path)
    assert first.path is not None
    first.path.with_suffix(".json").unlink()
    first.path.write_bytes(b"something else")
    assert prepared(tmp_path).content == first.content


def test_a_cache_that_cannot_be_a_folder_means_in_memory_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("a file")
    with caplog.at_level(logging.WARNING):
        made = prepared(in_the_way)
    assert made.path is None
    assert made.content
    assert "cannot keep prepared model" in caplog.text


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    made = prepared(tmp_path)
    assert made.path is None
    assert made.content
    left = [path for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"]
    assert left == []


def test_two_processes_that_start_together_end_with_one_model(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(digest, [tmp_path, tmp_path])
    assert first == second
    assert len(list((tmp_path / "models").glob("*.onnx"))) == 1


def test_what_an_earlier_preparation_left_goes_and_other_sizes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(tmp_path)
    other = cache.prepared_model("centerface", 64, 64, cache_dir=tmp_path)
    int8 = quantized_of(first, tmp_path)
    monkeypatch.setattr(cache, "PREPARATION", cache.PREPARATION + 1)
    later = prepared(tmp_path)
    left = {path for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"}
    assert later.path is not None
    assert other.path is not None
    assert first.path not in left
    assert left == {path.with_suffix(end) for path in (later.path, other.path, int8) for end in (".onnx", ".json")}


def quantized_of(made: cache.Prepared, folder: Path) -> Path:
    """Keep an int8 form beside a prepared model, of the same original, size and preparation."""
    source = original(made.name)
    path = quantized.quantized_path(source, *SIZE, folder)
    record = quantized.Record(
        name=made.name,
        original_sha256=source.sha256,
        prepared_sha256=hashlib.sha256(made.content).hexdigest(),
        quantized_sha256=hashlib.sha256(b"int8").hexdigest(),
        width=SIZE[0],
        height=SIZE[1],
        preparation=cache.PREPARATION,
        recipe=quantized.RECIPE,
        processor="a processor",
        onnxruntime="1",
        measured=quantized.Measured(calibrated=8, compared=8, faces=8, different=0, allowed_loss=0.1, speed=2.0),
    )
    quantized.keep(path, b"int8", record)
    return path


def test_another_file_of_the_same_name_takes_nothing_away(tmp_path: Path) -> None:
    """Workers may use the one while somebody tries the other."""
    first = prepared(tmp_path)
    own = tmp_path / "centerface.onnx"
    model = onnx.load_from_string(original("centerface").content)
    model.doc_string = "another one"
    own.write_bytes(model.SerializeToString())
    second = cache.prepared_model(str(own), *SIZE, cache_dir=tmp_path)
    assert first.path is not None
    assert second.path not in (None, first.path)
    assert first.path.exists()

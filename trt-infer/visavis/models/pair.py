# SPDX-License-Identifier: Apache-2.0
"""A model and its record, `<model>.onnx` and `<model>.json`: at each moment the pair of before or the one that comes.

Two files cannot be replaced in one step. The record of a model that comes lies in `<model>.json.new` until the model
is there, and counts as soon as it is the one of the model: who loads takes the record that tells the model's sum.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from visavis.atomic import clear_drafts, write_atomically

T = TypeVar("T", bound=msgspec.Struct)


def replace_both(path: Path, content: bytes, record: bytes) -> None:
    """Write a model and its record; for one who holds the lock of the model.

    Raises:
        OSError: one of them was not written, and the pair of before is still there.
    """
    clear_drafts(path.parent, f"{glob.escape(path.stem)}.*")
    coming = _coming(path)
    write_atomically(coming, record)
    try:
        write_atomically(path, content)
    except OSError:
        coming.unlink(missing_ok=True)
        raise
    coming.replace(record_path(path))


def records_of(path: Path, kind: type[T]) -> Iterator[T]:
    """What may be the record of a model: the one in force, then one that a change which was cut off has left.

    What cannot be decoded is none.

    Raises:
        OSError: it is there and cannot be read.
    """
    for beside in (record_path(path), _coming(path)):
        with suppress(FileNotFoundError, msgspec.DecodeError):
            yield msgspec.json.decode(beside.read_bytes(), type=kind)


def models_in(folder: Path) -> list[Path]:
    """Where the models of a folder are that have a record, also one whose change was cut off."""
    records = [*folder.glob("*.json"), *(coming.with_suffix("") for coming in folder.glob("*.json.new"))]
    return sorted({record.with_suffix(".onnx") for record in records})


def remove_both(path: Path) -> None:
    """Remove a model and its record, which it is found by, last."""
    for gone in (path, _coming(path), record_path(path)):
        gone.unlink(missing_ok=True)


def record_path(path: Path) -> Path:
    """Where the record of a model is."""
    return path.with_suffix(".json")


def _coming(path: Path) -> Path:
    return path.with_suffix(".json.new")

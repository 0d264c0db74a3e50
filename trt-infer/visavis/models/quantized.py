# SPDX-License-Identifier: Apache-2.0
"""INT8 models on disk, beside the prepared ones: made by `visavis model quantize`, loaded by workers.

`<cache_dir>/models/<name>-int8-<key>.onnx` and a `.json` with its record. The key covers what the prepared model's
does, the recipe, and the processor: what was gained and lost was measured there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.models.cache import PREPARATION, Prepared, is_prepared, locked
from visavis.models.manifest import Entry, Original, is_there, original, read_limited
from visavis.models.pair import records_of, replace_both
from visavis.models.processor import processor_name
from visavis.settings import default_cache_dir

# Part of every key: raise when the same model and pictures become another network, unless by no more than a
# pixel at a picture's edge.
RECIPE = 2
NAME = re.compile(r"(.+)-int8-[0-9a-f]{16}\.onnx")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What an int8 model is worth.

    `calibrated` and `compared` are numbers of pictures; `faces` those that fp32 found on the compared ones, `different`
    those that only one of both found; `speed` is fp32's time over int8's.
    """

    calibrated: int
    compared: int
    faces: int
    different: int
    allowed_loss: float
    speed: float

    @property
    def loss(self) -> float:
        """The share of faces that differ, 0 to 1 and more."""
        return self.different / self.faces


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of what, and what it is worth; sums are SHA-256 in hex, sizes pixels."""

    name: str
    original_sha256: str
    prepared_sha256: str
    quantized_sha256: str
    width: int
    height: int
    preparation: int
    recipe: int
    processor: str
    onnxruntime: str
    measured: Measured

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the input, pixels."""
        return self.width, self.height

    @property
    def runs_on(self) -> str:
        """Where a worker loads it: "here", or what it was made for instead."""
        if (self.preparation, self.recipe) != (PREPARATION, RECIPE):
            return "an earlier visavis"
        return "here" if self.processor == processor_name() else self.processor


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An int8 model on disk; `record` is None where there is none that can be read, or one of another file."""

    name: str
    path: Path
    bytes: int
    record: Record | None


def quantized_model(
    model: str, width: int = 640, height: int = 480, cache_dir: Path | None = None, family: str = ""
) -> Prepared:
    """Return the int8 form of `model` that `visavis model quantize` made on this machine.

    Args:
        model: a name of the manifest, or a file that ends in .onnx.
        width: of the network's input, pixels.
        height: the same.
        cache_dir: None for the usual place.
        family: the family that a file must be of; empty to recognise it.

    Raises:
        ModelError: there is none for this model, size and processor, or it is not what was written.
    """
    source = original(model, family, cache_dir)
    path = quantized_path(source, width, height, cache_dir or default_cache_dir())
    remedy = f"visavis model quantize {model} --input {width}x{height} --pictures FOLDER"
    if not is_there(path):
        raise ModelError(f"{source.name} is not quantised for {width}x{height} on this processor", remedy)
    records = list(_records(path))
    content = read_limited(path)
    sums = (source.sha256, hashlib.sha256(content).hexdigest())
    if sums not in [(record.original_sha256, record.quantized_sha256) for record in records]:
        raise ModelError(f"quantised model {path} is not what was written", remedy)
    return Prepared(name=source.name, family=source.entry.family, content=content, path=path)


def quantized_path(source: Original, width: int, height: int, cache_dir: Path) -> Path:
    """Where the int8 form is kept."""
    key = (source.sha256, source.entry.family, f"{width}x{height}", PREPARATION, RECIPE, processor_name())
    return cache_dir / "models" / _file_name(source.name, *key)


def _file_name(name: str, *key: object) -> str:
    return f"{name}-int8-{hashlib.sha256(' '.join(map(str, key)).encode()).hexdigest()[:16]}.onnx"


def kept_of(name: str, entry: Entry, kept: Iterable[Kept]) -> list[Kept]:
    """Those of `kept` that are forms of a model, for any size and processor; not of another original of its name."""
    return [one for one in kept if one.name == name and (one.record is None or _is_of(one.record, entry))]


def _is_of(record: Record, entry: Entry) -> bool:
    return record.original_sha256 == entry.sha256


def all_kept(cache_dir: Path) -> list[Kept]:
    """Every int8 model on this machine."""
    named = [(path, NAME.fullmatch(path.name)) for path in sorted((cache_dir / "models").glob("*.onnx"))]
    return [
        Kept(name=match[1], path=path, bytes=path.stat().st_size, record=_own_record(path))
        for path, match in named
        if match and not is_prepared(path)
    ]


def _own_record(path: Path) -> Record | None:
    """The record beside a file, if it is that of a file of this name."""
    record = record_of(path)
    # Records do not hold the family.
    named = record is not None and any(path.name == file_name(record, family) for family in FAMILIES)
    return record if named else None


def file_name(record: Record, family: str) -> str:
    """What the file of a record is called when its model is of a family."""
    size = f"{record.width}x{record.height}"
    made = (record.preparation, record.recipe, record.processor)
    return _file_name(record.name, record.original_sha256, family, size, *made)


def verify(kept: Kept, model: str) -> Record:
    """Return the record of an int8 model whose bytes are exactly what was written.

    Args:
        kept: the file.
        model: how its model is named in commands.

    Raises:
        ModelError: they are not, or cannot be read.
    """
    if kept.record is None:
        raise ModelError(f"quantised model {kept.path} has no record of its own", "remove it, and quantise again")
    made = {record.quantized_sha256: record for record in _records(kept.path)}
    record = made.get(hashlib.sha256(read_limited(kept.path)).hexdigest())
    if record is None:
        raise ModelError(
            f"quantised model {kept.path} is not what was written",
            f"visavis model quantize {model} --input {kept.record.width}x{kept.record.height} --pictures FOLDER",
        )
    return record


def record_of(path: Path) -> Record | None:
    """The record beside an int8 model; None when it cannot be read."""
    return next(_records(path), None)


def _records(path: Path) -> Iterator[Record]:
    """Those that may be its record, as far as they can be read."""
    with suppress(OSError):
        yield from records_of(path, Record)


def keep(path: Path, content: bytes, record: Record) -> None:
    """Keep an int8 model and its record, in place of an earlier one.

    Raises:
        ModelError: it cannot be written; what was there before still is.
    """
    try:
        with locked(path):
            replace_both(path, content, msgspec.json.format(msgspec.json.encode(record), indent=2))
    except OSError as error:
        raise ModelError(f"cannot keep {path}, {error.strerror}", "set VISAVIS_CACHE_DIR to another folder") from error

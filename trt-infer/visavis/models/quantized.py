# SPDX-License-Identifier: Apache-2.0
"""INT8 models on disk, beside the prepared ones: made by `visavis model quantize`, loaded by workers.

`<cache_dir>/models/<name>-int8-<key>.onnx` and a `.json` with its record. The key covers what the prepared model's
does, the recipe, and the processor: what was gained and lost was measured there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from visavis.atomic import write_atomically
from visavis.errors import ModelError
from visavis.models.cache import PREPARATION, Prepared, locked
from visavis.models.manifest import Original, original, read_limited
from visavis.models.processor import processor_name
from visavis.settings import default_cache_dir

# Part of every key: raise when the same model and pictures become another network.
RECIPE = 1


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
    if not path.exists():
        raise ModelError(f"{source.name} is not quantised for {width}x{height} on this processor", remedy)
    record = record_of(path)
    content = read_limited(path)
    sums = (source.sha256, hashlib.sha256(content).hexdigest())
    if record is None or (record.original_sha256, record.quantized_sha256) != sums:
        raise ModelError(f"quantised model {path} is not what was written", remedy)
    return Prepared(name=source.name, family=source.entry.family, content=content, path=path)


def quantized_path(source: Original, width: int, height: int, cache_dir: Path) -> Path:
    """Where the int8 form is kept."""
    what = f"{source.sha256} {source.entry.family} {width}x{height} {PREPARATION} {RECIPE} {processor_name()}"
    return cache_dir / "models" / f"{source.name}-int8-{hashlib.sha256(what.encode()).hexdigest()[:16]}.onnx"


def record_of(path: Path) -> Record | None:
    """The record beside an int8 model; None when it cannot be read."""
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def keep(path: Path, content: bytes, record: Record) -> None:
    """Keep an int8 model and its record, in place of an earlier one.

    Raises:
        ModelError: it cannot be written; what was there before may not be believed any more.
    """
    try:
        with locked(path):
            # The record first: a model without its own is never believed.
            write_atomically(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(record), indent=2))
            write_atomically(path, content)
    except OSError as error:
        raise ModelError(f"cannot keep {path}, {error.strerror}", "set VISAVIS_CACHE_DIR to another folder") from error

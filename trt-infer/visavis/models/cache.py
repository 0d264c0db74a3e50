# SPDX-License-Identifier: Apache-2.0
"""Prepared models on disk: made once, complete or not there, and never loaded with a byte changed.

`<cache_dir>/models/<name>-<key>.onnx` and, beside it, a `.json` with the sums of the original and of the prepared
file. The key covers the original, its family, the size and the version of the preparation.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec

from visavis.atomic import lock_file
from visavis.models.manifest import Original, original, read_limited
from visavis.models.pair import models_in, records_of, remove_both, replace_both
from visavis.settings import default_cache_dir

log = logging.getLogger(__name__)
# Part of every key: raise when `prepare` answers something else.
PREPARATION = 1


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What was prepared from what; the sums are SHA-256 in hex, the sizes pixels (0 = any).

    `bytes_per_pixel` is the memory that one of any size takes. Of others that is 0; None is of an earlier release.
    """

    name: str
    original_sha256: str
    prepared_sha256: str
    width: int
    height: int
    preparation: int
    bytes_per_pixel: int | None = None


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A verified model: load `content`, never the file again. `path` is None when it could not be kept.

    `bytes_per_pixel` is what one of any size takes; 0 where nobody has reckoned it.
    """

    name: str
    family: str
    content: bytes
    path: Path | None
    bytes_per_pixel: int = 0

    def __str__(self) -> str:
        return str(self.path or "in memory only")


def prepared_model(
    model: str, width: int = 640, height: int = 480, cache_dir: Path | None = None, family: str = ""
) -> Prepared:
    """Return `model` prepared for width x height pixels (0 x 0 = any size), from the cache where that is sound.

    A cache that cannot be written is no reason to fail: the model is then prepared in memory, with a warning.

    Args:
        model: a name of the manifest, or a file that ends in .onnx.
        family: the family that a file must be of; empty to recognise it.

    Raises:
        ModelError: the original is missing, is not what the manifest or `family` names, or cannot be prepared.
    """
    return prepared(original(model, family, cache_dir), width, height, cache_dir)


def prepared(source: Original, width: int, height: int, cache_dir: Path | None = None) -> Prepared:
    """The same of an original that was read; see `prepared_model`."""
    path = cached_path(source, width, height, cache_dir or default_cache_dir())
    try:
        with locked(path):
            return _kept(path, source) or _build(path, source, width, height)
    except OSError as error:
        return _unkept(path, source, (width, height), error)


def cached_path(source: Original, width: int, height: int, cache_dir: Path) -> Path:
    """Where the prepared model is kept."""
    key = hashlib.sha256(f"{source.sha256} {source.entry.family} {width}x{height} {PREPARATION}".encode()).hexdigest()[
        :16
    ]
    return cache_dir / "models" / f"{source.name}-{key}.onnx"


def verify(path: Path, original_sha256: str) -> tuple[Record, bytes] | None:
    """Return a kept model with its record if its bytes are exactly what was written, else None.

    Raises:
        OSError: the record exists but cannot be read.
        ModelError: the model cannot be read.
    """
    made = {one.prepared_sha256: one for one in records_of(path, Record) if one.original_sha256 == original_sha256}
    if not made or not path.is_file():
        return None
    content = read_limited(path)
    record = made.get(hashlib.sha256(content).hexdigest())
    return (record, content) if record is not None else None


def is_prepared(path: Path) -> bool:
    """Whether a model of this folder is a prepared one, by its record: yunet-int8 may be the name of a model."""
    try:
        return _prepared_as(path) is not None
    except OSError:
        return False


def _prepared_as(path: Path) -> Record | None:
    """Its record, if it is a prepared one: an int8 one's record holds all that ours does."""
    record = _record(path)
    return record if record is not None and path.stem.rpartition("-")[0] == record.name else None


def records(cache_dir: Path) -> Iterator[Record]:
    """What was prepared, as far as that can be read."""
    for path in models_in(cache_dir / "models"):
        with contextlib.suppress(OSError):
            if (record := _record(path)) is not None:
                yield record


def _record(path: Path) -> Record | None:
    return next(records_of(path, Record), None)


def _kept(path: Path, source: Original) -> Prepared | None:
    if not path.exists():
        return None
    kept = verify(path, source.sha256)
    if kept is None:
        log.warning("prepared model %s is not what was written: it is prepared again", path)
        return None
    record, content = kept
    # An earlier release did not say what one of any size takes.
    return None if record.bytes_per_pixel is None and not record.width else _made(source, content, path, record)


def _unkept(path: Path, source: Original, size_px: tuple[int, int], reason: OSError) -> Prepared:
    """Without the right to write: a model that is there, complete, is used; else it is made in memory."""
    with contextlib.suppress(OSError):
        if (kept := _kept(path, source)) is not None:
            return kept
    log.warning("cannot keep prepared model %s, %s: it is prepared again at every start", path, reason.strerror)
    record, content = _prepare(source, *size_px)
    return _made(source, content, None, record)


def _build(path: Path, source: Original, width: int, height: int) -> Prepared:
    record, content = _prepare(source, width, height)
    replace_both(path, content, msgspec.json.encode(record))
    _let_go_of_earlier(path, record)
    return _made(source, content, path, record)


def _let_go_of_earlier(path: Path, record: Record) -> None:
    """Remove what an earlier preparation left of the same original for the same size: this release does not read it.

    Another original of this name stays: workers may use the one, and somebody try the other.
    """
    for model in models_in(path.parent):
        with contextlib.suppress(OSError):  # of another user: it stays
            other = _prepared_as(model)
            if other is not None and _is_instead_of(record, other):
                remove_both(model)


def _is_instead_of(record: Record, other: Record) -> bool:
    same = (record.original_sha256, record.width, record.height) == (other.original_sha256, other.width, other.height)
    return same and other.preparation < record.preparation


def _made(source: Original, content: bytes, path: Path | None, record: Record) -> Prepared:
    return Prepared(
        name=source.name,
        family=source.entry.family,
        content=content,
        path=path,
        bytes_per_pixel=record.bytes_per_pixel or 0,
    )


def _prepare(source: Original, width: int, height: int) -> tuple[Record, bytes]:
    # onnx takes 150 ms and 30 MB to import: only a cold cache pays that.
    from visavis.models.memory import bytes_per_pixel  # noqa: PLC0415
    from visavis.models.prepare import prepare  # noqa: PLC0415

    content = prepare(source, width, height)
    record = Record(
        name=source.name,
        original_sha256=source.sha256,
        prepared_sha256=hashlib.sha256(content).hexdigest(),
        width=width,
        height=height,
        preparation=PREPARATION,
        bytes_per_pixel=0 if width else bytes_per_pixel(content),
    )
    return record, content


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time look and make a file, so that two do not do the same work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

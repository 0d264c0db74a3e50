# SPDX-License-Identifier: Apache-2.0
"""Which engines are there, by what their files say of themselves: for those who only look and load nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from visavis.engines.key import EngineKey
from visavis.engines.vault import record_of
from visavis.errors import ModelError
from visavis.models.cache import records
from visavis.models.manifest import original


class _Record(msgspec.Struct, frozen=True):
    """What of an engine's record counts here."""

    key: EngineKey


def has_int8_engine(model: str, size_px: tuple[int, int], cache_dir: Path) -> bool:
    """Whether an engine of the model for this input was built in int8; a worker sees whether its GPU takes it."""
    try:
        of = (original(model, cache_dir=cache_dir).sha256, *size_px)
    except ModelError:
        return False
    sums = {one.prepared_sha256 for one in records(cache_dir) if (one.original_sha256, one.width, one.height) == of}
    return any(key.precision == "int8" and key.model_sha256 in sums for key in _keys(cache_dir))


def _keys(cache_dir: Path) -> Iterator[EngineKey]:
    for file in (cache_dir / "engines").glob("*.engine"):
        try:
            yield msgspec.json.decode(record_of(file), type=_Record).key
        except (OSError, msgspec.DecodeError):
            continue  # no engine, or one of another release

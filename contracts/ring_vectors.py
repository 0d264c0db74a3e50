# SPDX-License-Identifier: Apache-2.0
"""Golden bytes for both sides, made from offsets alone so that they judge the generated encoders."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from contracts.ring_spec import SCALARS, Field, Spec, Struct

DETECTIONS = 2


def vectors(spec: Spec, folder: Path) -> dict[Path, str | bytes]:
    """One .bin and one .json (its meaning) for each message, memory layout and result without detections."""
    made: dict[Path, str | bytes] = {}
    for layout in spec.structs.values():
        if layout.kind == "part":
            continue
        _add(made, folder / layout.name, layout, spec, DETECTIONS if layout.tail else 0)
        if layout.tail:
            _add(made, folder / f"{layout.name}_empty", layout, spec, 0)
    return made


def _add(made: dict[Path, str | bytes], stem: Path, layout: Struct, spec: Spec, tail: int) -> None:
    inner = spec.structs[layout.tail[0]] if layout.tail else None
    length = layout.size + (inner.size * tail if inner else 0)
    values: dict[str, Any] = {}
    for n, field in enumerate(layout.fields):
        if field.name == "head":
            values["head"] = {"type": layout.type, "flags": 0x0102, "length": length}
        elif not field.reserved:
            values[field.name] = _value(field, spec, n)
    if layout.tail:
        values[layout.tail[1]] = tail
    raw = bytearray(length)
    _write(raw, 0, layout, values, spec)
    meaning: dict[str, Any] = {"struct": layout.name, "values": {**values.pop("head", {}), **values}}
    if inner:
        meaning["tail"] = [
            {f.name: _value(f, spec, 20 * k + n) for n, f in enumerate(inner.fields)} for k in range(tail)
        ]
        for k, entry in enumerate(meaning["tail"]):
            _write(raw, layout.size + k * inner.size, inner, entry, spec)
    made[stem.with_suffix(".bin")] = bytes(raw)
    made[stem.with_suffix(".json")] = json.dumps(meaning, indent=1) + "\n"


def _value(field: Field, spec: Spec, seed: int) -> Any:
    """A value that no other field of the struct has, and whose bytes all differ."""
    if field.fixed is not None:
        return field.fixed
    if field.kind == "char":
        return f"{field.name}-é"
    return _nested(field, spec, field.dims, seed)


def _nested(field: Field, spec: Spec, dims: tuple[int, ...], seed: int) -> Any:
    if dims:
        return [_nested(field, spec, dims[1:], seed * 7 + n) for n in range(dims[0])]
    if field.kind in spec.structs:
        return {f.name: _nested(f, spec, (), seed * 5 + n) for n, f in enumerate(spec.structs[field.kind].fields)}
    if field.kind == "f32":
        return seed + 0.25
    width = struct.calcsize("<" + SCALARS[field.kind])
    raw = bytes((17 * seed + 29 * k + 3) % 251 for k in range(width - 1)) + bytes([seed % 120 + 1])
    return int.from_bytes(raw, "little")


def _write(raw: bytearray, base: int, layout: Struct, values: dict[str, Any], spec: Spec) -> None:
    for field in layout.fields:
        if not field.reserved:
            _write_value(raw, base + field.at, field, field.dims, values[field.name], spec)


def _write_value(raw: bytearray, at: int, field: Field, dims: tuple[int, ...], value: Any, spec: Spec) -> None:
    if field.kind == "char":
        encoded = value.encode()
        raw[at : at + len(encoded)] = encoded
    elif dims:
        step = field.size
        for n in field.dims[: len(field.dims) - len(dims) + 1]:
            step //= n
        for k, one in enumerate(value):
            _write_value(raw, at + k * step, field, dims[1:], one, spec)
    elif field.kind in spec.structs:
        _write(raw, at, spec.structs[field.kind], value, spec)
    else:
        struct.pack_into("<" + SCALARS[field.kind], raw, at, value)

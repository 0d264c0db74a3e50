# SPDX-License-Identifier: Apache-2.0
"""Reads ring.toml and refuses a layout that two compilers could see differently."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.toml_file import read_toml

SCALARS = {"u16": "H", "u32": "I", "u64": "Q", "i64": "q", "f32": "f"}


class SpecError(ValueError):
    """ring.toml describes a layout that is refused; the text names struct and field."""


@dataclass(frozen=True)
class Field:
    """One field: `dims` is empty for a scalar, `fixed` is the value it must always have."""

    name: str
    kind: str
    dims: tuple[int, ...]
    at: int
    size: int
    doc: str
    fixed: int | str | None

    @property
    def reserved(self) -> bool:
        """True for bytes that are written as 0 and not read."""
        return self.name.startswith("reserved")


@dataclass(frozen=True)
class Struct:
    """One layout: a message (type > 0), a piece of shared memory, or a part of others."""

    name: str
    kind: str
    size: int
    doc: str
    fields: tuple[Field, ...]
    type: int
    sender: str
    tail: tuple[str, str] | None
    align: int

    @property
    def message(self) -> bool:
        """True when this travels as a packet."""
        return self.kind == "message"


@dataclass(frozen=True)
class Choice:
    """One named number, with its sentence."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Spec:
    """Everything ring.toml says."""

    magic: str
    major: int
    minor: int
    limits: tuple[Choice, ...]
    enums: dict[str, tuple[str, tuple[Choice, ...]]]
    structs: dict[str, Struct]

    @property
    def messages(self) -> list[Struct]:
        """The messages in the order of their types."""
        return sorted((s for s in self.structs.values() if s.message), key=lambda s: s.type)


def load(path: Path) -> Spec:
    """Read and verify one specification.

    Raises:
        SpecError: a field is misaligned, overlaps, leaves a gap, or a struct's size is not its fields' sum.
    """
    raw = read_toml(path)
    structs: dict[str, Struct] = {}
    for entry in raw["struct"]:
        structs[entry["name"]] = _struct(entry, structs)
    _check_types(structs)
    protocol = raw["protocol"]
    return Spec(
        magic=protocol["magic"],
        major=protocol["major"],
        minor=protocol["minor"],
        limits=tuple(_choice(name, entry) for name, entry in raw["limits"].items()),
        enums={name: _enum(entry) for name, entry in raw["enums"].items()},
        structs=structs,
    )


def _choice(name: str, entry: dict[str, Any]) -> Choice:
    value = int.from_bytes(entry["fourcc"].encode(), "little") if "fourcc" in entry else entry["value"]
    return Choice(name, value, entry["doc"])


def _enum(entry: dict[str, Any]) -> tuple[str, tuple[Choice, ...]]:
    return entry["doc"], tuple(_choice(name, e) for name, e in entry.items() if name != "doc")


def _struct(entry: dict[str, Any], known: dict[str, Struct]) -> Struct:
    message = entry["kind"] == "message"
    fields = [_field(entry["name"], f, known) for f in entry["fields"]]
    if message:
        fields.insert(0, Field("head", "head", (), 0, known["head"].size, "common head", None))
    tail = entry.get("tail")
    made = Struct(
        name=entry["name"],
        kind=entry["kind"],
        size=entry["size"],
        doc=entry["doc"],
        fields=tuple(fields),
        type=entry.get("type", 0),
        sender=entry.get("from", ""),
        tail=(tail["struct"], tail["count"]) if tail else None,
        align=max(_alignment(f, known) for f in fields),
    )
    _check_layout(made, known)
    return made


def _field(struct_name: str, entry: dict[str, Any], known: dict[str, Struct]) -> Field:
    kind, rest = re.fullmatch(r"(\w+)((?:\[\d+\])*)", entry["type"]).groups()  # type: ignore[union-attr]
    dims = tuple(int(n) for n in re.findall(r"\d+", rest))
    if kind in SCALARS:
        one = struct.calcsize("<" + SCALARS[kind])
    elif kind == "char":
        one = 1
    elif kind in known:
        one = known[kind].size
    else:
        raise SpecError(f"{struct_name}.{entry['name']}: type {kind!r} is not known; define it before it is used")
    size = one
    for n in dims:
        size *= n
    return Field(entry["name"], kind, dims, entry["at"], size, entry["doc"], entry.get("is"))


def _alignment(field: Field, known: dict[str, Struct]) -> int:
    if field.kind == "char":
        return 1
    return known[field.kind].align if field.kind in known else struct.calcsize("<" + SCALARS[field.kind])


def _check_layout(made: Struct, known: dict[str, Struct]) -> None:
    end = 0
    for field in made.fields:
        where = f"{made.name}.{field.name} at {field.at}"
        if field.at % _alignment(field, known):
            raise SpecError(f"{where}: misaligned, must be a multiple of {_alignment(field, known)}")
        if field.at != end:
            raise SpecError(f"{where}: the field before it ends at {end}; name a gap `reserved…`, never leave one")
        end = field.at + field.size
    if end != made.size:
        raise SpecError(f"{made.name}: size is {made.size} but its fields end at {end}; add a `reserved…` field")
    if made.size % made.align:
        raise SpecError(f"{made.name}: size {made.size} is no multiple of {made.align}: compilers would pad it")


def _check_types(structs: dict[str, Struct]) -> None:
    seen: dict[int, str] = {}
    for made in structs.values():
        if not made.message:
            continue
        if made.type in seen or made.type == 0:
            raise SpecError(f"{made.name}: message type {made.type} is 0 or already that of {seen.get(made.type)}")
        seen[made.type] = made.name

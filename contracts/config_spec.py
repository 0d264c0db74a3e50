# SPDX-License-Identifier: Apache-2.0
"""Reads config.toml: sections of keys, each with its type, default, limits and sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts.toml_file import read_toml

KINDS = ("string", "int", "float", "bool", "strings", "size", "point", "polygon", "polygons", "zones", "lines")
WORDS = {
    "id": "ID",
    "url": "URL",
    "https": "HTTPS",
    "ca": "CA",
    "fps": "FPS",
    "iou": "IoU",
    "mqtt": "MQTT",
    "csi": "CSI",
    "kserve": "KServe",
}


@dataclass(frozen=True)
class Key:
    """One setting."""

    name: str
    type: str
    default: Any
    example: Any
    doc: str
    format: str = ""
    pattern: str = ""
    says: str = ""
    choices: tuple[str | int, ...] = ()
    min: float | None = None
    max: float | None = None
    empty: bool = False
    required: bool = False
    secret: bool = False
    sample: bool = True

    @property
    def go_name(self) -> str:
        """The field's name in Go."""
        return camel(self.name)

    @property
    def filled(self) -> str:
        """What a text, or each of several, may say for example where it may not be empty; else nothing."""
        if self.type == "strings":
            return str(self.example[0])
        has_value = self.required or (bool(self.default) and not self.empty)
        return str(self.example) if self.type == "string" and has_value else ""


@dataclass(frozen=True)
class Section:
    """One table of the file: `array` for [[name]], `part_of` for a table that stands inside a key's value."""

    name: str
    doc: str
    keys: tuple[Key, ...]
    array: bool = False
    part_of: str = ""

    @property
    def go_name(self) -> str:
        """The struct's name in Go and Python."""
        return camel(self.name)

    @property
    def plain(self) -> bool:
        """True for a table that stands once in the file."""
        return not self.array and not self.part_of


def camel(name: str) -> str:
    """`lease_ms` becomes LeaseMs, `kserve_url` KServeURL."""
    return "".join(WORDS.get(word, word.capitalize()) for word in name.split("_"))


def load(path: Path) -> tuple[Section, ...]:
    """Read the specification.

    Raises:
        ValueError: a key has an unknown type or an unknown attribute; the text names it.
    """
    sections: dict[str, Section] = {}
    for entry in read_toml(path)["section"]:
        sections[entry["name"]] = _section(entry, sections)
    return tuple(sections.values())


def _section(entry: dict[str, Any], earlier: dict[str, Section]) -> Section:
    if "like" in entry:
        keys = _same_keys(earlier[entry["like"]], entry)
    else:
        keys = tuple(_key(entry["name"], key) for key in entry["key"])
    return Section(entry["name"], entry["doc"], keys, entry.get("array", False), entry.get("part_of", ""))


def _same_keys(other: Section, entry: dict[str, Any]) -> tuple[Key, ...]:
    """The keys of another section, with the defaults and examples of `but`."""
    own = entry.get("but", {})
    its_keys = re.compile(rf"(?<![\w/]){other.name}\.")  # not the file of that name
    docs = {key.name: its_keys.sub(f"{entry['name']}.", key.doc) for key in other.keys}
    return tuple(replace(key, **{"doc": docs[key.name], **own.get(key.name, {})}) for key in other.keys)


def _key(section: str, entry: dict[str, Any]) -> Key:
    if entry["type"] not in KINDS:
        raise ValueError(
            f"config.toml: {section}.{entry['name']}: type {entry['type']!r} is none of {', '.join(KINDS)}"
        )
    if "choices" in entry:
        entry = entry | {"choices": tuple(entry["choices"])}
    try:
        return Key(**entry)
    except TypeError as error:
        raise ValueError(f"config.toml: {section}.{entry['name']}: {error}") from error


def toml_value(value: Any) -> str:
    """One value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml_value(one)}" for name, one in value.items()) + " }"
    return str(value)


def environment_name(section: Section, key: Key) -> str:
    """The variable that overrides a key; N is a camera's index."""
    middle = "__N__" if section.array else "__"
    return f"VISAVIS_{section.name.upper()}{middle}{key.name.upper()}"

# SPDX-License-Identifier: Apache-2.0
"""The Python side of config.toml: structs that decode what `visavis-capture -effective` prints."""

from __future__ import annotations

from typing import Any

from contracts.config_spec import Section

TYPES = {
    "string": "str",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "strings": "tuple[str, ...]",
    "size": "tuple[int, int]",
    "point": "tuple[float, float]",
    "polygon": "tuple[tuple[float, float], ...]",
    "polygons": "tuple[tuple[tuple[float, float], ...], ...]",
    "zones": "tuple[Zone, ...]",
    "lines": "tuple[Line, ...]",
}
HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/config.toml by contracts/generate.py: do not edit.
"""The effective configuration, as `visavis-capture -effective` prints it in JSON."""

from __future__ import annotations

import msgspec

'''


def source(sections: tuple[Section, ...]) -> str:
    """The whole of config_gen.py."""
    parts = [_struct(section) for section in sorted(sections, key=lambda s: not s.part_of)]
    return HEAD + "\n\n".join([*parts, _config(sections)])


def _class(name: str, doc: str) -> list[str]:
    return [
        f"class {name}(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):",
        f'    """{doc}"""',
        "",
    ]


def _struct(section: Section) -> str:
    lines = _class(section.go_name, section.doc)
    for key in section.keys:
        default = "" if key.required else f" = {_frozen(key.default)!r}"
        lines += [f"    # {key.doc}", f"    {key.name}: {TYPES[key.type]}{default}"]
    return "\n".join([*lines, ""])


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _config(sections: tuple[Section, ...]) -> str:
    lines = _class("Config", "The whole effective configuration.")
    lines += [f"    {s.name}: {s.go_name} = {s.go_name}()" for s in sections if s.plain]
    lines += [f"    {s.name}: tuple[{s.go_name}, ...] = ()" for s in sections if s.array]
    return "\n".join([*lines, ""])

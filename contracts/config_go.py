# SPDX-License-Identifier: Apache-2.0
"""The Go side of config.toml: structs, defaults, and the table that files are checked against."""

from __future__ import annotations

import json
from typing import Any

from contracts.config_spec import Key, Section

TYPES = {
    "string": "string",
    "int": "int",
    "float": "float64",
    "bool": "bool",
    "strings": "[]string",
    "size": "[2]int",
    "point": "[2]float64",
    "polygon": "[][2]float64",
    "polygons": "[][][2]float64",
    "zones": "[]Zone",
    "lines": "[]Line",
}
HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/config.toml by contracts/generate.py. DO NOT EDIT.

package config
"""


def source(sections: tuple[Section, ...]) -> str:
    """The whole of config_gen.go."""
    parts = [HEAD, _config(sections)]
    parts += [_struct(section) for section in sections]
    parts.append(_config_defaults(sections))
    parts += [_defaults(section) for section in sections if not section.plain]
    parts.append(_section_tables(sections))
    parts += [_table(section) for section in sections if not section.plain]
    return "\n".join(parts)


def _config(sections: tuple[Section, ...]) -> str:
    lines = ["// Config is the whole effective configuration.", "type Config struct {"]
    lines += [f'\t{s.go_name} {s.go_name} `toml:"{s.name}" json:"{s.name}"`' for s in sections if s.plain]
    lines += [f'\t{s.go_name}s []{s.go_name} `toml:"{s.name}" json:"{s.name}"`' for s in sections if s.array]
    return "\n".join([*lines, "}", ""])


def _struct(section: Section) -> str:
    lines = [f"// {section.go_name}: {section.doc}", f"type {section.go_name} struct {{"]
    for key in section.keys:
        lines += [f"\t// {key.doc}", f'\t{key.go_name} {TYPES[key.type]} `toml:"{key.name}" json:"{key.name}"`']
    return "\n".join([*lines, "}", ""])


def _literal(section: Section) -> str:
    fields = ", ".join(f"{key.go_name}: {_value(key)}" for key in section.keys)
    return f"{section.go_name}{{{fields}}}"


def _config_defaults(sections: tuple[Section, ...]) -> str:
    fields = [f"\t\t{section.go_name}: {_literal(section)}," for section in sections if section.plain]
    return "\n".join(["func defaults() Config {", "\treturn Config{", *fields, "\t}", "}", ""])


def _defaults(section: Section) -> str:
    return f"func default{section.go_name}() {section.go_name} {{\n\treturn {_literal(section)}\n}}\n"


def _value(key: Key) -> str:
    if TYPES[key.type].startswith("[]"):
        return TYPES[key.type] + "{" + ", ".join(json.dumps(one) for one in key.default) + "}"
    if TYPES[key.type].startswith("[2]"):
        return TYPES[key.type] + "{" + ", ".join(map(str, key.default)) + "}"
    return json.dumps(key.default)


def _section_tables(sections: tuple[Section, ...]) -> str:
    lines = [
        "// sectionKeys are the keys of the tables that stand once in a file.",
        "var sectionKeys = map[string][]key[Config]{",
    ]
    for section in sections:
        if section.plain:
            target = f"{section.go_name}."
            lines += [f'\t"{section.name}": {{', *(_entry(key, "Config", target) for key in section.keys), "\t},"]
    return "\n".join([*lines, "}", ""])


def _table(section: Section) -> str:
    lines = [
        f"// {section.name}Keys are the keys of one {section.name}.",
        f"var {section.name}Keys = []key[{section.go_name}]{{",
    ]
    return "\n".join([*lines, *(_entry(key, section.go_name, "") for key in section.keys), "}", ""])


def _entry(key: Key, struct: str, target: str) -> str:
    setter = f"func(into *{struct}, value any) {{ into.{target}{key.go_name} = value.({TYPES[key.type]}) }}"
    return f"\t\t{{rule{{{_rule(key)}}}, {setter}}},"


def _rule(key: Key) -> str:
    attributes: dict[str, Any] = {
        "name": _quoted(key.name),
        "kind": f"kind{key.type.capitalize()}",
        "format": _quoted(key.format) if key.format else "",
        "pattern": f"`{key.pattern}`" if key.pattern else "",
        "says": _quoted(key.says) if key.says else "",
        "choices": _choices(key),
        "limits": f"&[2]float64{{{key.min}, {key.max}}}" if key.min is not None else "",
        "filled": _quoted(key.filled) if key.filled else "",
        "required": "true" if key.required else "",
        "secret": "true" if key.secret else "",
    }
    return ", ".join(f"{name}: {value}" for name, value in attributes.items() if value)


def _choices(key: Key) -> str:
    if not key.choices:
        return ""
    return "[]any{" + ", ".join(_quoted(one) if isinstance(one, str) else str(one) for one in key.choices) + "}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

# SPDX-License-Identifier: Apache-2.0
"""From note.toml: the note about engines as a struct in Go and in Python, and docs/reference/note.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.toml_file import read_toml

GO_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/note.toml by contracts/generate.py. DO NOT EDIT.

package engine

import "errors"

"""
PYTHON_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/note.toml by contracts/generate.py: do not edit.
"""The note that a builder of engines leaves for the daemon."""

from __future__ import annotations

from typing import Literal

import msgspec

'''
DOCS_HEAD = """\
<!-- Generated from contracts/note.toml by contracts/generate.py: do not edit. -->
# The note about engines

`{path}`, from the folder of `worker.socket`, is one JSON object. It is written, whole or not at all, by a
process that builds a TensorRT engine, or that was told to use the GPU and cannot. The daemon believes only what is
exactly as below. A note that breaks a rule is not shown, and the log says which rule. Why it is a file:
[the design](../design/tensorrt.md#how-far-a-build-is).

| limit | value | |
|---|---|---|
"""
DOCS_FIELDS = """
| field | what it holds | |
|---|---|---|
"""


@dataclass(frozen=True)
class Field:
    """One field; `choices` or `most` say what it may hold."""

    name: str
    type: str
    doc: str
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()

    @property
    def go_name(self) -> str:
        """`began_ns` becomes BeganNs."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def rule(self) -> str:
        """The call of Go's check."""
        value = f'"{self.name}", n.{self.go_name}'
        if self.type == "choice":
            return f"choice({value}, {', '.join(map(quoted, self.choices))})"
        if self.type == "text":
            return f"text({value}, {self.most})"
        return f"number({value}, {self.least}, {self.most})"

    @property
    def says(self) -> str:
        """The rule for readers."""
        if self.type == "choice":
            return ", ".join(f"`{quoted(choice)}`" for choice in self.choices)
        if self.type == "text":
            return f"text, at most {self.most:,} characters, none of them a control character"
        return f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated files and their texts, not yet formatted."""
    raw = read_toml(root / "contracts" / "note.toml")
    fields = [Field(**{**entry, "choices": tuple(entry.get("choices", ()))}) for entry in raw["field"]]
    return {
        root / "go-capture/internal/engine/note_gen.go": GO_HEAD + _go(raw, fields),
        root / "trt-infer/visavis/engines/note_gen.py": PYTHON_HEAD + _python(raw, fields),
        root / "docs/reference/note.md": _docs(raw, fields),
    }


def quoted(text: str) -> str:
    """A string of Go and of Python."""
    return f'"{text}"'


def _go(raw: dict[str, Any], fields: list[Field]) -> str:
    limits = "".join(
        f"\t{go_private(name)} = {limit['value']} // {limit['doc']}\n" for name, limit in raw["limits"].items()
    )
    kinds = {"int": "int64", "text": "string", "choice": "string"}
    members = "".join(
        f'\t{field.go_name} {kinds[field.type]} `json:"{field.name}"` // {field.doc}\n' for field in fields
    )
    rules = "".join(f"\t\t{field.rule},\n" for field in fields)
    return f"""\
// File is where the note is, from the folder of the workers' socket.
const File = {quoted(raw["file"]["path"])}

const (
{limits})

// note is the file as somebody wrote it.
type note struct {{
{members}}}

// check says which rules of the contract it breaks.
func (n note) check() error {{
	return errors.Join(
{rules}\t)
}}
"""


def go_private(name: str) -> str:
    """`most_bytes` becomes mostBytes."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _python(raw: dict[str, Any], fields: list[Field]) -> str:
    limits = "".join(f"# {limit['doc']}\n{name.upper()} = {limit['value']}\n" for name, limit in raw["limits"].items())
    texts = ", ".join(f"{quoted(field.name)}: {field.most}" for field in fields if field.type == "text")
    members = "".join(f"    {field.name}: {_python_type(field)}  # {field.doc}\n" for field in fields)
    return (
        f"# From the folder of worker.socket.\nFILE = {quoted(raw['file']['path'])}\n{limits}"
        f"# Characters at most.\nTEXTS = {{{texts}}}\n\n\n"
        f'class Note(msgspec.Struct, frozen=True, kw_only=True):\n    """One object in JSON."""\n\n{members}'
    )


def _python_type(field: Field) -> str:
    if field.type == "choice":
        return f"Literal[{', '.join(map(quoted, field.choices))}]"
    return "int" if field.type == "int" else "str"


def _docs(raw: dict[str, Any], fields: list[Field]) -> str:
    limits = "".join(f"| `{name}` | {limit['value']:,} | {limit['doc']} |\n" for name, limit in raw["limits"].items())
    rows = "".join(f"| `{field.name}` | {field.says} | {field.doc} |\n" for field in fields)
    return DOCS_HEAD.format(path=raw["file"]["path"]) + limits + DOCS_FIELDS + rows

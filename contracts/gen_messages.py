# SPDX-License-Identifier: Apache-2.0
"""From schemas/: the messages that a device sends over MQTT, as structs for the Python client.

A schema's `title` names the class of an object inside another one, or of a list of a fixed length; its `$comment` says
what that is where `description` speaks of one field that holds it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

MESSAGES = {"detections": "Detections", "event": "Event", "info": "Info", "stats": "Stats"}
PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/schemas by contracts/generate.py: do not edit.
"""What a device says over MQTT. Fields that a newer device adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its distance from UTC: which it was must not depend on the zone of who reads."""
# A device without a clock counts from 1970, and what it tells of may have begun before. In the last year that Python
# knows, and in its first, not every zone has a form of every time.
FIRST_YEAR, LAST_YEAR = 1900, 9998


def _must_be_of_some_clock(*times: datetime | None) -> None:
    for at in times:
        if at is not None and not FIRST_YEAR <= at.year <= LAST_YEAR:
            raise ValueError(f"no clock shows the year {at.year}")


'''


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated file and its text, not yet formatted.

    Raises:
        ValueError: two schemas give one name to different things, or one says what no struct can.
    """
    module = _Module()
    for file, name in MESSAGES.items():
        schema = json.loads((root / "contracts" / "schemas" / f"{file}.schema.json").read_text(encoding="utf-8"))
        module.struct(name, schema, schema["title"])
    return {root / "trt-infer/visavis/client/messages_gen.py": HEAD + "\n\n".join(module.texts.values())}


class _Module:
    """The classes so far by their names; what a class needs stands before it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, name: str, text: str) -> str:
        if self.texts.setdefault(name, text) != text:
            raise ValueError(f"contracts/schemas: two different things are called {name}: give one another title")
        return name

    def struct(self, name: str, schema: Schema, about: str) -> str:
        """Add the class of an object."""
        required = set(schema["required"])
        fields = [self.field(key, inner, key in required) for key, inner in schema["properties"].items()]
        told = [
            f"        {key}: {inner['description']}."
            for key, inner in schema["properties"].items()
            if "description" in inner
        ]
        attributes = "\n\n    Attributes:\n" + "\n".join(told) + "\n    " if told else ""
        text = f'class {name}(msgspec.Struct, frozen=True, kw_only=True):\n    """{about}.{attributes}"""\n\n'
        return self.add(name, text + "".join(fields) + _check_of_times(schema["properties"]))

    def field(self, key: str, schema: Schema, required: bool) -> str:
        if schema.get("const") is True:
            return f"    {key}: bool = False\n"
        kind = self.type_of(schema)
        return f"    {key}: {kind}\n" if required else f"    {key}: {kind} | None = None\n"

    def type_of(self, schema: Schema) -> str:
        """The annotation of a value."""
        if "const" in schema or "enum" in schema:
            return f"Literal{json.dumps(schema.get('enum', [schema.get('const')]))}"
        if schema.get("format") == "date-time":
            return "Time"
        if schema["type"] == "array":
            return self.array(schema)
        if schema["type"] == "object":
            return self.object(schema)
        return PLAIN[schema["type"]]

    def array(self, schema: Schema) -> str:
        inner = self.type_of(schema["items"])
        if "title" not in schema:
            return f"tuple[{inner}, ...]"
        members = ", ".join([inner] * schema["minItems"])
        told = f'"""{schema["description"][:1].upper()}{schema["description"][1:]}."""'
        return self.add(schema["title"], f"{schema['title']}: TypeAlias = tuple[{members}]\n{told}\n")

    def object(self, schema: Schema) -> str:
        if "properties" in schema:
            about: str = schema["$comment"] if "$comment" in schema else schema["description"]
            return self.struct(schema["title"], schema, about[:1].upper() + about[1:])
        return f"dict[str, {self.type_of(schema['additionalProperties'])}]"


def _check_of_times(properties: Schema) -> str:
    """What is done once an object was read that has times of its own."""
    times = ", ".join(f"self.{key}" for key, inner in properties.items() if inner.get("format") == "date-time")
    return f"\n    def __post_init__(self) -> None:\n        _must_be_of_some_clock({times})\n" if times else ""

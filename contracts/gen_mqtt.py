# SPDX-License-Identifier: Apache-2.0
"""From mqtt.toml: functions that build topics in Go and Python, and docs/reference/mqtt.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from contracts.toml_file import read_toml

GO_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/mqtt.toml by contracts/generate.py. DO NOT EDIT.

package mqtt

import "strings"

// topicLevel keeps a name inside its level: whatever is not of a-z 0-9 _ - becomes _, so that no name holds a slash, a
// wildcard or nothing at all.
func topicLevel(name string) string {
	if name == "" {
		return "_"
	}
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '_'
	}, name)
}

// Delivery is how the messages of one topic are sent.
type Delivery struct {
	QoS    byte
	Retain bool
}
"""
PYTHON_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/mqtt.toml by contracts/generate.py: do not edit.
"""Topics of visavis. Each level is a name of 1 to 32 of a-z 0-9 _ - or "+", the wildcard for one level."""

from __future__ import annotations

import re

LEVEL = re.compile(r"[a-z0-9_-]{1,32}|\\+")


def topic_level(name: str) -> str:
    """Return the name when it is one level of a topic.

    Raises:
        ValueError: it holds anything else than a-z 0-9 _ -, nothing, or more than settings take.
    """
    if not LEVEL.fullmatch(name):
        raise ValueError(f"{name!r} cannot be one level of a topic: use 1 to 32 of a-z 0-9 _ - or +")
    return name
'''
PYTHON_READER = '''

def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\\w+)}", r"(?P<\\1>[a-z0-9_-]+)", template))


PATTERNS = {
ROWS
}


def read_topic(topic: str) -> tuple[str, dict[str, str]] | None:
    """The name of a topic and its levels: `("faces", {"prefix": "visavis", "device": "porch", "camera": "door"})`.

    None for a topic that is not of visavis.
    """
    for name, pattern in PATTERNS.items():
        if found := pattern.fullmatch(topic):
            return name, found.groupdict()
    return None
'''
DOCS_HEAD = """\
<!-- Generated from contracts/mqtt.toml by contracts/generate.py: do not edit. -->
# MQTT

`{prefix}` is `mqtt.prefix`, `{device}` is `device.id`, `{camera}` is the id of a camera. Schemas are JSON Schema
2020-12, in [contracts/schemas](../../contracts/schemas). A change that would break readers raises `schema` in the
payload. When a camera or zone is removed, or faces are hidden, what stands retained gets an empty payload with QoS 1,
which makes the broker forget it.

| topic | direction | QoS | retained | payload | |
|---|---|---|---|---|---|
"""


FORMS_GO_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/mqtt_forms.toml by contracts/generate.py. DO NOT EDIT.

package mqtt
"""
FORMS_DOCS_HEAD = """
## Other forms

With `"frigate"` or `"sparkplug"` in `mqtt.formats` the device also publishes
[in these topics](../how-to/broker.md). Here `{prefix}` is `mqtt.frigate_prefix`, `{group}` is `mqtt.sparkplug_group`,
`{node}` is `device.id`, and `{place}` is a camera or a zone.

| topic | direction | QoS | retained | payload | |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Topic:
    """One topic: `schema` or `payload` says what its messages hold."""

    name: str
    template: str
    direction: str
    qos: int
    retain: bool
    doc: str
    schema: str = ""
    payload: str = ""

    @property
    def levels(self) -> list[str]:
        """The names that vary, in their order."""
        return re.findall(r"{(\w+)}", self.template)

    @property
    def go_name(self) -> str:
        """`zone_faces` becomes ZoneFaces."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated files and their texts, not yet formatted."""
    topics, forms = _topics(root, "mqtt.toml"), _topics(root, "mqtt_forms.toml")
    docs = DOCS_HEAD + "".join(map(_row, topics)) + FORMS_DOCS_HEAD + "".join(map(_row, forms))
    return {
        root / "go-capture/internal/mqtt/forms_gen.go": FORMS_GO_HEAD + "".join(map(_go, forms)),
        root / "go-capture/internal/mqtt/topics_gen.go": GO_HEAD + "".join(map(_go, topics)),
        root / "trt-infer/visavis/topics_gen.py": PYTHON_HEAD + "".join(map(_python, topics)) + _python_reader(topics),
        root / "docs/reference/mqtt.md": docs,
    }


def _topics(root: Path, name: str) -> list[Topic]:
    topics = [Topic(**entry) for entry in read_toml(root / "contracts" / name)["topic"]]
    for topic in topics:
        if bool(topic.schema) == bool(topic.payload):
            raise ValueError(f"{name}: {topic.name} needs one of schema and payload")
        if topic.schema and not (root / "contracts" / "schemas" / f"{topic.schema}.schema.json").is_file():
            raise ValueError(f"{name}: {topic.name} has the schema {topic.schema}, which contracts/schemas has not")
    return topics


def _go(topic: Topic) -> str:
    parts = re.split(r"{(\w+)}", topic.template)
    pieces = [f"topicLevel({part})" if at % 2 else f'"{part}"' for at, part in enumerate(parts) if part]
    arguments = ", ".join(topic.levels) + " string" if topic.levels else ""
    return f"""
// {topic.go_name}Topic: {topic.doc}
func {topic.go_name}Topic({arguments}) string {{
	return {" + ".join(pieces)}
}}

// {topic.go_name}Delivery is how {topic.go_name}Topic is sent.
var {topic.go_name}Delivery = Delivery{{QoS: {topic.qos}, Retain: {str(topic.retain).lower()}}}
"""


def _python(topic: Topic) -> str:
    template = re.sub(r"{(\w+)}", r"{topic_level(\1)}", topic.template)
    arguments = ", ".join(f"{level}: str" for level in topic.levels)
    quoted = f'f"{template}"' if topic.levels else f'"{template}"'
    return f'''

def {topic.name}_topic({arguments}) -> str:
    """{topic.doc}"""
    return {quoted}
'''


def _python_reader(topics: list[Topic]) -> str:
    rows = "".join(f'    "{topic.name}": _pattern("{topic.template}"),\n' for topic in topics)
    return PYTHON_READER.replace("ROWS\n", rows)


def _row(topic: Topic) -> str:
    payload = f"[{topic.schema}](../../contracts/schemas/{topic.schema}.schema.json)" if topic.schema else topic.payload
    retained = "yes" if topic.retain else "no"
    return f"| `{topic.template}` | {topic.direction} | {topic.qos} | {retained} | {payload} | {topic.doc} |\n"

# SPDX-License-Identifier: Apache-2.0
"""The page docs/reference/config.md: a table for each section, and a sample file that the tests load."""

from __future__ import annotations

from contracts.config_spec import Key, Section, environment_name, toml_value

HEAD = """\
<!-- Generated from contracts/config.toml by contracts/generate.py: do not edit. -->
# Configuration

Settings are read from `/etc/visavis/config.toml` and then from each `conf.d/*.toml` beside it, in the order of their
names. `visavis check FILE` names every problem with its file, line, key and remedy. An unknown key is a problem too.

- A flag wins over the environment, the environment over `conf.d`, `conf.d` over the file, and the file over defaults.
- Every key can be set in the environment: `VISAVIS_MQTT__URL` is `mqtt.url`, `VISAVIS_CAMERA__0__SOURCE` is the source
  of the first camera. Values other than strings are written as in TOML: `VISAVIS_DETECTOR__INPUT='[640, 480]'`.
- The `[[camera]]` tables of all files are taken together.
- A relative path in a file starts at the folder of that file.
- Passwords have files of their own and are never printed. In place of any file to be read, `credential:NAME` stands
  for what systemd's `LoadCredential=NAME:FILE` gave the daemon.
"""
SAMPLE_HEAD = "\n## A sample of everything\n\n```toml\n"


def page(sections: tuple[Section, ...]) -> str:
    """The whole page."""
    return HEAD + "".join(_table(section) for section in sections) + SAMPLE_HEAD + sample(sections) + "```\n"


def _title(section: Section) -> str:
    if section.part_of:
        return f"{section.part_of}[]"
    return f"[[{section.name}]]" if section.array else f"[{section.name}]"


def _table(section: Section) -> str:
    lines = [
        f"\n## `{_title(section)}`\n",
        section.doc,
        "",
        "| key | type | default | allowed | environment | |",
        "|---|---|---|---|---|---|",
    ]
    for key in section.keys:
        default = "**required**" if key.required else f"`{toml_value(key.default)}`"
        variable = "" if section.part_of else f"`{environment_name(section, key)}`"
        secret = " The content is secret." if key.secret else ""
        lines.append(f"| `{key.name}` | {key.type} | {default} | {_allowed(key)} | {variable} | {key.doc}{secret} |")
    return "\n".join([*lines, ""])


def _allowed(key: Key) -> str:
    if key.choices:
        return ", ".join(f"`{toml_value(choice)}`" for choice in key.choices)
    if key.min is not None:
        return f"{key.min} to {key.max}"
    return key.says


def sample(sections: tuple[Section, ...]) -> str:
    """A file with every key; keys that name a file or a server of the reader's are comments."""
    blocks = []
    for section in sections:
        if not section.part_of:
            lines = [f"# {section.doc}", _title(section)]
            for key in section.keys:
                lines += [f"# {key.doc}", f"{'' if key.sample else '# '}{key.name} = {toml_value(key.example)}"]
            blocks.append("\n".join([*lines, ""]))
    return "\n".join(blocks)

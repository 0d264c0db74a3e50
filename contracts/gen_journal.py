# SPDX-License-Identifier: Apache-2.0
"""From journal.toml: the ids that the daemon's log lines carry, and the catalogue that explains them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.toml_file import read_toml

GO_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/journal.toml by contracts/generate.py. DO NOT EDIT.

package systemd

// messageIDs are the MESSAGE_ID of log lines, by their text.
var messageIDs = map[string]string{
"""
CATALOG_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/journal.toml by contracts/generate.py: do not edit.
"""


@dataclass(frozen=True)
class Entry:
    """One log line that is explained."""

    message: str
    id: str
    subject: str
    words: str


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated files and their texts, not yet formatted.

    Raises:
        ValueError: two entries share an id or a message.
    """
    entries = [Entry(**entry) for entry in read_toml(root / "contracts" / "journal.toml")["entry"]]
    if len({entry.id for entry in entries}) < len(entries) or len({entry.message for entry in entries}) < len(entries):
        raise ValueError("journal.toml: two entries share an id or a message")
    return {
        root / "go-capture/internal/systemd/messages_gen.go": GO_HEAD + "".join(map(_go, entries)) + "}\n",
        root / "systemd/visavis.catalog": CATALOG_HEAD + "".join(map(_catalog, entries)),
    }


def _go(entry: Entry) -> str:
    return f'\t"{entry.message}": "{entry.id}",\n'


def _catalog(entry: Entry) -> str:
    return f"\n-- {entry.id}\nSubject: {entry.subject}\nDefined-By: visavis\n\n{entry.words.strip()}\n"

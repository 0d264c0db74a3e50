# SPDX-License-Identifier: Apache-2.0
"""Manual pages, made of what the programs say with --help."""

from __future__ import annotations

import os
import subprocess
import sys

from deb.kept import REPOSITORY

DAEMON = REPOSITORY / "build" / "visavis-capture"


def command_line(date: str, version: str) -> str:
    """visavis(1): each command with its own help."""
    from visavis.cli.program import COMMANDS  # noqa: PLC0415 (only there in a checkout's own Python)

    page = _head("visavis", "face detection as an appliance", date, version)
    page += _section("SYNOPSIS", "visavis COMMAND [OPTION...]") + _section("DESCRIPTION", _help())
    for name in COMMANDS:
        page += _section(f"VISAVIS {name.upper()}", _help(name))
    return page + _section("SEE ALSO", "visavis-capture(1), /usr/share/doc/visavis/config.md")


def daemon(date: str, version: str) -> str:
    """visavis-capture(1)."""
    said = subprocess.run([DAEMON, "-h"], capture_output=True, text=True, check=False).stderr
    page = _head("visavis-capture", "the daemon of visavis", date, version)
    return page + _section("DESCRIPTION", said) + _section("SEE ALSO", "visavis(1), /usr/share/doc/visavis/config.md")


def _help(*command: str) -> str:
    words = [sys.executable, "-m", "visavis.cli", *command, "--help"]
    environment = {**os.environ, "COLUMNS": "78"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout


def _head(name: str, about: str, date: str, version: str) -> str:
    return f'.TH {name.upper()} 1 "{date}" "visavis {version}"\n.SH NAME\n{_escaped(name)} \\- {_escaped(about)}\n'


def _section(title: str, text: str) -> str:
    """The text as it is: line by line, in one width."""
    return f".SH {title}\n.nf\n{_escaped(text.strip())}\n.fi\n"


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in plain.splitlines())

# SPDX-License-Identifier: Apache-2.0
"""Manual pages, made of what the programs say with --help."""

from __future__ import annotations

import argparse
import subprocess
from functools import partial

from deb.kept import REPOSITORY

COLUMNS = 76
DAEMON = REPOSITORY / "build" / "visavis-capture"


def command_line(date: str, version: str) -> str:
    """visavis(1): each command, and each of its actions, with its own help."""
    from visavis.cli.program import COMMANDS, parser_for  # noqa: PLC0415 (only there in a checkout's own Python)

    page = _head("visavis", "face detection as an appliance", date, version)
    page += _section("SYNOPSIS", "visavis COMMAND [OPTION...]") + _section("DESCRIPTION", _help(parser_for([])))
    for name in COMMANDS:
        command = _below(parser_for([name]))[name]
        for parser in (command, *_below(command).values()):
            page += _section(parser.prog.upper(), _help(parser))
    return page + _section("SEE ALSO", "visavis-capture(1), /usr/share/doc/visavis/config.md")


def daemon(date: str, version: str) -> str:
    """visavis-capture(1)."""
    said = subprocess.run([DAEMON, "-h"], capture_output=True, text=True, check=False).stderr
    page = _head("visavis-capture", "the daemon of visavis", date, version)
    return page + _section("DESCRIPTION", said) + _section("SEE ALSO", "visavis(1), /usr/share/doc/visavis/config.md")


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of its commands or actions, by their names; each has options that its own help does not tell."""
    found = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]  # there is no other door
    return dict(found[0].choices) if found else {}


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=COLUMNS)
    return parser.format_help()


def _head(name: str, about: str, date: str, version: str) -> str:
    return f'.TH {name.upper()} 1 "{date}" "visavis {version}"\n.SH NAME\n{_escaped(name)} \\- {_escaped(about)}\n'


def _section(title: str, text: str) -> str:
    """The text as it is: line by line, in one width."""
    return f".SH {title}\n.nf\n{_escaped(text.strip())}\n.fi\n"


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in plain.splitlines())

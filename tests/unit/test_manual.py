# SPDX-License-Identifier: Apache-2.0
"""visavis(1), as the package brings it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest
from visavis.cli.program import COMMANDS, parser_for

from deb import manual


@pytest.fixture(scope="module")
def page() -> str:
    return manual.command_line("2026-01-01", "1.2.3")


def parsers() -> Iterator[argparse.ArgumentParser]:
    """That of each command, and of each of its actions."""
    for name in COMMANDS:
        command = below(parser_for([name]))[name]
        yield from (command, *below(command).values())


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = [one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction)] or [{}]
    return dict(found)


def test_every_option_of_every_action_is_told(page: str) -> None:
    sections = dict(re.findall(r"^\.SH (.+)\n((?:(?!\.SH ).*\n)*)", page.replace("\\-", "-"), re.MULTILINE))
    told = [
        (parser.prog, option)
        for parser in parsers()
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
    ]
    assert {("visavis detect", "--anonymize"), ("visavis update bundle", "--board")} < set(told)
    assert [(prog, option) for prog, option in told if f" {option}" not in sections[prog.upper()]] == []

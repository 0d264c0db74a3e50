# SPDX-License-Identifier: Apache-2.0
"""Every command explains itself with examples that it understands."""

from __future__ import annotations

import argparse
import re

import pytest
from visavis.cli.program import COMMANDS

from deb.completion import whole_parser
from tests.unit.command import visavis
from tests.unit.shown_commands import parsed, visavis_calls


def family(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands and actions."""
    found = [parser]
    for action in parser._actions:  # argparse has no other door
        if isinstance(action, argparse._SubParsersAction):
            found += [one for below in action.choices.values() for one in family(below)]
    return found


PARSERS = family(whole_parser())
ACTIONS = [words for parser in PARSERS if len(words := parser.prog.split()[1:]) == 2]


def help_of(*words: str) -> str:
    answer = visavis(*words, "--help")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_that_the_parser_takes(command: str) -> None:
    words = [command] if command else []
    shown = help_of(*words).partition("example")[2]
    calls = [call for call in visavis_calls(shown) if "COMMAND" not in call]
    assert calls, "no example"
    for call in calls:
        assert parsed(call).command == (command or call[0])


def test_actions_are_found() -> None:
    assert {command for command, _ in ACTIONS} == {"auth", "model", "engine", "update"}
    assert {"list", "prepare", "verify", "export-triton"} <= {action for _, action in ACTIONS}


@pytest.mark.parametrize("words", ACTIONS, ids=" ".join)
def test_each_action_says_what_it_does_and_has_an_example(words: list[str]) -> None:
    about, _, shown = help_of(*words).partition("examples:")
    assert re.search(r"\n\n[A-Z].*?[.]\n\n", about, re.DOTALL), "no sentence"
    calls = visavis_calls(shown)
    assert calls, "no example"
    assert all([parsed(call).command, parsed(call).action] == words for call in calls)


def test_every_argument_is_explained() -> None:
    arguments = [(parser.prog, argument) for parser in PARSERS for argument in parser._actions]
    silent = [
        (prog, argument.dest)
        for prog, argument in arguments
        if not argument.help and not isinstance(argument, argparse._SubParsersAction)
    ]
    assert silent == []


def test_without_a_command_it_shows_the_help_and_answers_2() -> None:
    answer = visavis()
    assert answer.returncode == 2
    assert answer.stdout == help_of()


def test_an_unknown_command_or_option_is_wrong_use() -> None:
    for words in (["fly"], ["detect", "a.jpg", "--fly"], ["--fly"], ["detect"], ["model"], ["check"]):
        answer = visavis(*words)
        assert answer.returncode == 2, words
        assert "usage: visavis" in answer.stderr


def test_help_imports_nothing_heavy() -> None:
    answer = visavis("--help", variables={"PYTHONPROFILEIMPORTTIME": "1"})
    for heavy in ("numpy", "cv2", "onnxruntime", "onnx", "paho"):
        assert not re.search(rf"\| +{heavy}\b", answer.stderr), f"visavis --help imports {heavy}"

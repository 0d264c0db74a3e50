# SPDX-License-Identifier: Apache-2.0
"""Every command explains itself with examples that it understands."""

from __future__ import annotations

import re

import pytest
from visavis.cli.program import COMMANDS

from tests.unit.command import visavis
from tests.unit.shown_commands import parsed, visavis_calls


def actions(command: str) -> list[str]:
    """The actions of a command that has some."""
    found = re.search(r"\{([a-z,]+)\} \.\.\.|^  ACTION\n((?:    .+\n)+)", help_of(command), re.MULTILINE)
    return re.findall(r"^    ([\w-]+)", found[2], re.MULTILINE) if found and found[2] else []


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


def test_each_action_of_model_has_an_example_too() -> None:
    found = actions("model")
    assert {"list", "prepare", "verify", "export-triton"} <= set(found)
    for action in found:
        calls = visavis_calls(help_of("model", action).partition("example")[2])
        assert calls, f"visavis model {action} --help has no example"
        assert all(parsed(call).action == action for call in calls)


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

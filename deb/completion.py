# SPDX-License-Identifier: Apache-2.0
"""Completion of `visavis` in shells, made by shtab from the program's own parser when the package is built.

shtab offers the commands, options and choices that a parser knows; here each argument is told what files it stands for.
"""

from __future__ import annotations

import argparse

import shtab
from visavis.cli.arguments import file_path
from visavis.cli.program import COMMANDS, AnyOrderParser, add_command, top_parser
from visavis.models.manifest import entries

# Where each shell looks for it.
PLACES = {
    "bash": "usr/share/bash-completion/completions/visavis",
    "zsh": "usr/share/zsh/vendor-completions/_visavis",
    "fish": "usr/share/fish/vendor_completions.d/visavis.fish",
}
MODEL_OR_FILE = {
    "bash": """
_visavis_model_files() {
  compgen -W '@NAMES@' -- "$1"
  compgen -f -X '!*.onnx' -- "$1"
  compgen -d -- "$1"
}""",
    "zsh": """
_visavis_model_files() {
  _alternative 'models:model:(@NAMES@)' 'files:file:_files -g "*.onnx"'
}""",
    "fish": """
function _visavis_model_files
  string split ' ' '@NAMES@'
  __fish_complete_suffix .onnx
end""",
}


def scripts() -> dict[str, str]:
    """The script for each shell, by its place below the root."""
    parser = whole_parser()
    name_files(parser)
    return {place: shtab.complete(parser, shell) + "\n" for shell, place in PLACES.items()}


def whole_parser() -> argparse.ArgumentParser:
    """The parser with the arguments of every command; the program itself loads only those of the one it runs."""
    parser = top_parser()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=AnyOrderParser)
    for name, summary in COMMANDS.items():
        add_command(commands, name, summary)
    return parser


def name_files(parser: argparse.ArgumentParser) -> None:
    """Mark each argument of a parser, and of those below it, with what may stand there."""
    models = model_or_file(sorted(entries()))
    for action in parser._actions:  # argparse has no other door, and shtab takes this one too
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                name_files(below)
        elif action.choices is None and (kind := stands_for(action, models)):
            vars(action)["complete"] = kind  # shtab looks for it there


def stands_for(action: argparse.Action, models: shtab.CompleteType) -> shtab.CompleteType | None:
    """What an argument takes, told by its name in the help; None for what no shell can know."""
    name = str(action.metavar or "")
    if name.startswith("NAME"):
        return models
    if name in ("DIR", "OUT"):
        return shtab.DIRECTORY
    return shtab.FILE if action.type is file_path or "FILE" in name else None


def model_or_file(models: list[str]) -> shtab.CompleteType:
    """The models of the list, and model files."""
    names = " ".join(models)
    return {
        "bash": "_visavis_model_files",
        "zsh": "_visavis_model_files",
        "fish": "(_visavis_model_files)",
        "preamble": {shell: text.replace("@NAMES@", names) for shell, text in MODEL_OR_FILE.items()},
    }

# SPDX-License-Identifier: Apache-2.0
"""The command line as a person calls it: the installed program `visavis`, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("visavis")
NOTHING: Mapping[str, str] = {}


def visavis(
    *words: str | Path, before: tuple[str, ...] = (), variables: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    """Run it to its end.

    Args:
        words: the command's arguments.
        before: a program that starts it, with arguments, for example `unshare`.
        variables: of the environment, on top of this process's.
    """
    command = [*before, str(PROGRAM), *map(str, words)]
    answer = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert "Traceback" not in answer.stderr, answer.stderr
    return answer


def complaints(answer: subprocess.CompletedProcess[str]) -> list[str]:
    """What it said on stderr, line by line."""
    return answer.stderr.splitlines()

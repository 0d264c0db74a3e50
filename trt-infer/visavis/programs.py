# SPDX-License-Identifier: Apache-2.0
"""What other programs say, in words or why there are none. One that hangs, also in the kernel, holds up nobody."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LIMIT_S, END_S = 20.0, 1.0
NOTHING: Mapping[str, str] = {}


class Said(NamedTuple):
    """What a program printed; or `why` there is nothing, and the exit code, None without one."""

    text: str
    why: str = ""
    code: int | None = None
    complaints: str = ""

    def __str__(self) -> str:
        return f"({self.why})" if self.why else self.text


def ran(
    command: list[str], cwd: Path | None = None, variables: Mapping[str, str] = NOTHING
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, which speaks English then. It may say names of files, and those need not be UTF-8.

    Args:
        command: the program and its arguments.
        cwd: where it runs, here without.
        variables: of the environment, on top of this process's.
    """
    pipe, env = subprocess.PIPE, {**os.environ, "LC_ALL": "C", **variables}
    return subprocess.run(
        command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace", check=False
    )


def end_or_leave(process: subprocess.Popen[bytes]) -> None:
    """End a process. One that stands still in the kernel ends when that lets it."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)


def asked(command: list[str], limit_s: float = LIMIT_S) -> Said:
    """Run a program for so long at most. What stands still in a driver cannot be ended: it is left behind.

    It runs in /: Python would take modules from the current folder, which may be anybody's, and `sudo` may have asked.
    """
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=pipe, cwd="/", start_new_session=True)
    except OSError as error:
        return Said("", "not there" if isinstance(error, FileNotFoundError) else f"cannot be run, {error.strerror}")
    try:
        out, complaints = (said.decode(errors="replace").strip() for said in process.communicate(timeout=limit_s))
    except subprocess.TimeoutExpired:
        return Said("", f"said nothing for {limit_s:g} s")
    finally:  # also where somebody stops us meanwhile
        if process.returncode is None:
            end_or_leave(process)
    why = ""
    if process.returncode:
        last = (complaints or out).splitlines()[-1:]
        why = f"exit {process.returncode}: {' '.join(last)}".rstrip(": ")
    return Said(out, why, process.returncode, complaints)

# SPDX-License-Identifier: Apache-2.0
"""What a person sees in the terminal: complaints, figures that renew themselves in place, and what streams can take."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

PLAIN_PERIOD_S = 10.0


def ready_streams() -> None:
    """Let every stream be one that can be asked and written to, whatever was closed and whatever a file is called."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what its encoding does not have is written in escapes


def drop_unwritten(*streams: TextIO) -> None:
    """Forget what streams could not take; Python would try once more at its own end, and then exit with 120."""
    for stream in streams:
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(sentence: str, program: str = "visavis") -> None:
    """One error for a person, on stderr; one that cannot be told there changes nothing else."""
    told = "\n".join(map(plain, sentence.split("\n")))
    with suppress(OSError):
        print(f"{program}: {told}", file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """What others wrote, so that it cannot steer a terminal: what is not to be seen becomes an escape or a blank."""
    return "".join(letter if letter.isprintable() else _seen(letter) for letter in text)


def ascii_json(text: str) -> str:
    """JSON that others wrote, in letters that every encoding has: what a stream makes of another one is no JSON."""
    return re.sub(r"[^\x00-\x7f]", lambda letter: json.dumps(letter[0])[1:-1], text)


def _seen(letter: str) -> str:
    return " " if letter.isspace() else ascii(letter)[1:-1]


class LiveLines:
    """A block of lines: redrawn in place on a terminal, printed every PLAIN_PERIOD_S elsewhere.

    Attributes:
        possible: whether there is anything to draw on; False for good once that has failed.
    """

    def __init__(self) -> None:
        self.possible = True
        self._terminal = sys.stdout.isatty()
        self._drawn = 0
        self._printed_at_s = -PLAIN_PERIOD_S

    def show(self, lines: Sequence[str]) -> None:
        """Draw `lines` over the ones of last time. Where the disk is full or the terminal gone, that is said once.

        Raises:
            BrokenPipeError: who read them has enough.
        """
        try:
            self._show(lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.possible = False
            drop_unwritten(sys.stdout)
            complain(f"no figures are shown any more, {error.strerror}; everything else goes on")

    def _show(self, lines: Sequence[str]) -> None:
        if self._terminal:
            up = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
            sys.stdout.write(up + "".join(f"{line}\n" for line in lines))
            self._drawn = rows(lines, shutil.get_terminal_size().columns)
        elif time.monotonic() - self._printed_at_s >= PLAIN_PERIOD_S:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            self._printed_at_s = time.monotonic()
        sys.stdout.flush()


def rows(lines: Sequence[str], columns: int) -> int:
    """How many rows of a terminal the lines take: long ones go on in the next row."""
    return sum(max(1, -(-len(line) // columns)) for line in lines)

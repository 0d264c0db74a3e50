# SPDX-License-Identifier: Apache-2.0
"""The command line. This file is loaded first and loads nothing: from here on Ctrl-C ends a command without a word."""

from __future__ import annotations

from visavis import ENDED_BY_CTRL_C


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        from visavis.cli import program  # noqa: PLC0415 (takes a tenth of a second)

        return program.main(arguments)
    except KeyboardInterrupt:
        return ENDED_BY_CTRL_C

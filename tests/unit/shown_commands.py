# SPDX-License-Identifier: Apache-2.0
"""Commands that a help text or a page shows: found, and read by the real parser without running them."""

from __future__ import annotations

import argparse
import re
import shlex

from visavis.cli.program import parser_for


def visavis_calls(text: str) -> list[list[str]]:
    """The arguments of each `visavis ...` in a shell text, without pipe, redirection and explanation beside it."""
    calls = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = shlex.split(re.split(r"\s[|>]\s|\s{3,}", line.strip())[0], comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words and words[0].rpartition("/")[2] == "visavis":
            calls.append(words[1:])
    return calls


def parsed(words: list[str]) -> argparse.Namespace:
    """What the program would understand; fails the test with the parser's own words when it would refuse."""
    try:
        return parser_for(words).parse_args(words)
    except SystemExit as refused:
        raise AssertionError(f"visavis {shlex.join(words)} is refused with {refused.code}") from refused

# SPDX-License-Identifier: Apache-2.0
"""What several commands take, decoded: argparse shows what is wrong with it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any


def add_action(actions: Any, name: str, summary: str, example: str, description: str = "") -> argparse.ArgumentParser:
    """One action of a command, with a help of its own; the summary stands where there is no longer description."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{example.rstrip()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def file_path(text: str) -> Path:
    """Read where a file or folder is; nothing at all would be the current folder, which nobody has named."""
    return Path(named(text))


def named(text: str) -> str:
    """Read what says where something is; as a script's variable that is not set it is empty."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, and names no file or folder")
    return text


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT, pixels."""
    from visavis.settings import LARGEST_SIDE  # noqa: PLC0415 (needs packages, without which updates must work)

    width, _, height = text.partition("x")
    if not all(_is_number(side) and int(side) for side in (width, height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, for example 640x480")
    if max(int(width), int(height)) > LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is too large, a side may have {LARGEST_SIDE} pixels")
    return int(width), int(height)


def count(text: str) -> int:
    """Read a number from 1 on."""
    if not (_is_number(text) and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def count_or_auto(text: str) -> int:
    """Read a number from 0 on, where 0 leaves the choice to the program."""
    if not _is_number(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def share(text: str) -> float:
    """Read a part of a whole, such as the score of a face."""
    value = _real(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def percent(text: str) -> float:
    """Read a part of a hundred; returns it as a part of one."""
    value = _real(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return value / 100


def amount(text: str) -> float:
    """Read how much or how long, in the unit that the option names; with or without a fraction."""
    value = _real(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def _real(text: str) -> float:
    """The number; one that no range holds when it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_number(text: str) -> bool:
    """Whether it is one of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) < 10

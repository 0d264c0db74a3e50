# SPDX-License-Identifier: Apache-2.0
"""What several commands take, decoded: argparse shows what is wrong with it."""

from __future__ import annotations

import argparse

from visavis.settings import LARGEST_SIDE


def size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT, pixels."""
    width, _, height = text.partition("x")
    if not all(_is_number(side) and int(side) for side in (width, height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, for example 640x480")
    if max(int(width), int(height)) > LARGEST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is too large, a side may have {LARGEST_SIDE} pixels")
    return int(width), int(height)


def count(text: str) -> int:
    """Read a number from 1 on."""
    if not (_is_number(text) and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _is_number(text: str) -> bool:
    """Whether it is one of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) < 10

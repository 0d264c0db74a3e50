# SPDX-License-Identifier: Apache-2.0
"""What a file says that holds a secret, and what messages may say of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from visavis.errors import VisavisError

REMEDY = "it is not repeated here: give the file's whole path, and write the secret itself into that file"

SAVE = "save the file as UTF-8"


class NoSecret(VisavisError):
    """What is wrong with a file's content, in words that follow its name."""

    kind: ClassVar[str] = "setting"


def secret_in(content: bytes) -> str:
    """The secret, without the mark that editors put before it and the end of its line; blanks may be part of it.

    contracts/secret-files.json has examples, which the daemon reads in the same way.

    Raises:
        NoSecret: there is none, or it is no text in UTF-8, such as PowerShell writes with `>`.
    """
    try:
        secret = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise NoSecret("is not UTF-8", SAVE) from error
    if "\0" in secret:
        raise NoSecret("holds a zero byte", SAVE)
    if not secret:
        raise NoSecret("is empty", "write it into the file")
    return secret


def shown(file: Path) -> tuple[str, str]:
    """How a message names a file, and its remedy: what is no path of a file may be the secret, given in its place."""
    plain = file.is_absolute() or os.path.lexists(file)
    return (str(file), "") if plain else ("what was given", REMEDY)

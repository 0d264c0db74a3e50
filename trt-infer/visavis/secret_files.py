# SPDX-License-Identifier: Apache-2.0
"""What messages may say of a file that holds a secret."""

from __future__ import annotations

import os
from pathlib import Path

REMEDY = "it is not repeated here: give the file's whole path, and write the secret itself into that file"


def shown(file: Path) -> tuple[str, str]:
    """How a message names a file, and its remedy: what is no path of a file may be the secret, given in its place."""
    plain = file.is_absolute() or os.path.lexists(file)
    return (str(file), "") if plain else ("what was given", REMEDY)

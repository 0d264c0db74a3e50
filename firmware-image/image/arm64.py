# SPDX-License-Identifier: Apache-2.0
"""Kernels for boards whose firmware loads them from a boot partition of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

from image.errors import ImageError

# Of an arm64 kernel as firmware wants it: not compressed, not wrapped.
MAGIC, MAGIC_AT = b"ARM\x64", 56


def plain_kernel(file: Path) -> bytes:
    """A kernel that firmware can load.

    Raises:
        ImageError: it has another form.
    """
    content = file.read_bytes()
    if content[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        raise ImageError(f"{file} is no plain arm64 kernel, and the firmware loads nothing else")
    return content


def remove_boot_files(root: Path) -> None:
    """Take away from a system what its boot partition holds: no kernel there has a second place to hide in."""
    of_boot = [path for path in (root / "boot").iterdir() if path.name != "efi"]
    for path in (root / "vmlinuz", root / "initrd.img", *of_boot):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

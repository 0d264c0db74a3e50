# SPDX-License-Identifier: Apache-2.0
"""The boards that there are images and updates for."""

from __future__ import annotations

# board -> its boot loader, one of `visavis.update.boot.LOADERS`.
BOARDS = {
    "generic-amd64": "grub",
    "generic-arm64": "grub",
    "rpi4": "tryboot",
    "rpi5": "tryboot",
    "jetson-orin": "nvbootctrl",
}
# The boot loaders that read kernel and first stage from a partition of their own, which a bundle has to bring too.
WITH_BOOT_PARTITION = ("tryboot", "nvbootctrl")


def compatible(board: str) -> str:
    """What bundles for a board, and only they, carry."""
    return f"visavis-{board}"

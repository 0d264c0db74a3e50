# SPDX-License-Identifier: Apache-2.0
"""What keeps an image from being made."""

from __future__ import annotations


class ImageError(Exception):
    """An image cannot be made like this, or no board flashed with it; the sentence says what to do."""

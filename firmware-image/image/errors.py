# SPDX-License-Identifier: Apache-2.0
"""What keeps an image from being made; the sentence says what to do."""

from __future__ import annotations


class LockError(Exception):
    """The packages cannot be had as the lock names them, or have brought what no image may hold."""


class JetsonError(Exception):
    """The board cannot be flashed like this."""

# SPDX-License-Identifier: Apache-2.0
"""A system that refuses threads, as where a user, a service or a container has as many tasks as it may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def no_threads() -> Iterator[None]:
    """Refuse each new thread of Python until the block ends."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        yield

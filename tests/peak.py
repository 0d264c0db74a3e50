# SPDX-License-Identifier: Apache-2.0
"""The most of something that changes, such as the memory of a process, while something else goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

P = TypeVar("P", bound="Peak[Any]")
V = TypeVar("V", bound="SupportsRichComparison")


class Peak(Generic[V]):
    """The most that `look` answered until the block ends; asked at once, and then every so often."""

    def __init__(self, look: Callable[[], V], every_s: float) -> None:
        self._look, self._every_s = look, every_s
        self.most = look()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self: P) -> P:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._every_s):
            self.most = max(self.most, self._look())

# SPDX-License-Identifier: Apache-2.0
"""One function in a fresh process, with an answer that is waited for within limits."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Child:
    """Runs `target(*arguments)` in a fresh process while the block lasts; `answer` is what it returned.

    Raises:
        ChildProcessError: (from `answer`) it ended without an answer.
        TimeoutError: (from `answer`) it took longer than the limit.
    """

    def __init__(self, target: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = target.__name__
        self._answers, write = context.Pipe(duplex=False)
        self.process = context.Process(target=run_and_answer, args=(write, target, *arguments), daemon=True)
        self.process.start()
        write.close()  # so that its death shows as the end of the pipe

    def answer(self, limit_s: float) -> Any:
        """Wait for what the function returns."""
        if not self._answers.poll(limit_s):
            raise TimeoutError(f"{self._name} gave no answer within {limit_s:.0f} s")
        try:
            return self._answers.recv()
        except EOFError as error:
            raise ChildProcessError(f"{self._name} ended without an answer: its own words are above") from error

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.process.kill()
        self.process.join()
        self._answers.close()


def run_and_answer(write: Any, target: Callable[..., Any], *arguments: Any) -> None:
    """Runs in the child."""
    write.send(target(*arguments))
    write.close()

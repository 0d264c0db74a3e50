# SPDX-License-Identifier: Apache-2.0
"""A Go program of tests that takes a command a line and answers each with JSON on a line."""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any, TypeVar

from tests.waiting import HANG_S

Program = TypeVar("Program", bound="LoadProgram")


class LoadProgram:
    """A running program; it has said that it is ready."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.answer()
        assert ready == {"ready": True}, ready

    def tell(self, command: str) -> None:
        """Give one command and do not wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line that it says; empty when it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {}
        return answer

    def ask(self, command: str) -> dict[str, Any]:
        """Give one command and return its answer."""
        self.tell(command)
        answer = self.answer()
        assert answer, "it has ended"
        assert "error" not in answer, answer
        return answer

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self._close()

    def quit(self) -> None:
        """End it in order."""
        self.tell("quit")
        assert self.process.wait(HANG_S) == 0
        self._close()

    def __enter__(self: Program) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()

    def _close(self) -> None:
        self.process.wait(HANG_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

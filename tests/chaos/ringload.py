# SPDX-License-Identifier: Apache-2.0
"""The real Go dispatcher, fed with frames whose every byte is the low byte of their number."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

PARTS = ("Inferred", "InFlight", "Superseded", "NoSlot", "Aborted", "Abandoned")


class Ringload:
    """A running ringload.

    Args:
        program: the built program.
        socket: where it listens.
        options: further arguments, for example "-stream", "a:640x480@30".
    """

    def __init__(self, program: Path, socket: Path, *options: str) -> None:
        command = [str(program), "-socket", str(socket), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._answer() == {"ready": True}

    def ask(self, command: str) -> dict[str, Any]:
        """Give one command and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        assert "error" not in answer, answer
        return answer

    def snapshot(self) -> dict[str, Any]:
        """All figures of one instant; asserts that every captured frame is accounted for."""
        shot = self.ask("snapshot")
        for stream in shot["Streams"]:
            counters = stream["Counters"]
            assert counters["Captured"] == sum(counters[part] for part in PARTS), stream
        return shot

    def counter(self, name: str) -> int:
        """One counter over all streams."""
        return sum(stream["Counters"][name] for stream in self.snapshot()["Streams"])

    def workers(self) -> list[dict[str, Any]]:
        """The connected workers."""
        return self.snapshot()["Workers"] or []

    def frames_of(self, name: str) -> int:
        """How many frames the connected worker of this name has answered."""
        return max((worker["Frames"] for worker in self.workers() if worker["Name"] == name), default=0)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self._close()

    def quit(self) -> None:
        """End it in order."""
        assert self.process.stdin is not None
        self.process.stdin.write("quit\n")
        self.process.stdin.flush()
        assert self.process.wait(10) == 0
        self._close()

    def __enter__(self) -> Ringload:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def _close(self) -> None:
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

# SPDX-License-Identifier: Apache-2.0
"""The real Go dispatcher, fed with frames whose every byte is the low byte of their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.chaos.load_program import LoadProgram

PARTS = ("Inferred", "InFlight", "Superseded", "NoSlot", "Aborted", "Abandoned")


class Ringload(LoadProgram):
    """A running ringload.

    Args:
        program: the built program.
        socket: where it listens.
        options: further arguments, for example "-stream", "a:640x480@30".
    """

    def __init__(self, program: Path, socket: Path, *options: str) -> None:
        super().__init__([str(program), "-socket", str(socket), *options])

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

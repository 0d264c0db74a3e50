# SPDX-License-Identifier: Apache-2.0
"""What the daemon is told about engines: how far a build is, and why TensorRT cannot be used.

It is told in a file beside the workers' socket, see docs/reference/note.md. A note that cannot be written hurts nobody
but readers of the page, so that is said in the log and nothing else happens.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from visavis.atomic import write_atomically
from visavis.engines.note_gen import BEAT_MS, FILE, TEXTS, Note
from visavis.engines.progress import ELSEWHERE, Report
from visavis.terminal import plain
from visavis.threads import start

log = logging.getLogger(__name__)

SCHEMA = 1
KNOWN = ("fp16", "fp32", "int8")


class EngineNote(msgspec.Struct, frozen=True):
    """The note about one model's engine.

    Attributes:
        path: the file.
        model: its name.
        precision: of the engine; anything that is no number format, such as "auto", is left out.
    """

    path: Path
    model: str
    precision: str

    def building(self, fraction: float, phase: str, began_ns: int) -> bool:
        """Tell how far the build is, 0 to 1, that began at `began_ns` (CLOCK_MONOTONIC); False when that failed."""
        return self._write(state="building", percent=int(100 * fraction), phase=phase, began_ns=began_ns, error="")

    def failed(self, why: str) -> None:
        """Tell why TensorRT cannot be used; stays until it can."""
        self._write(state="failed", percent=0, phase="", began_ns=time.monotonic_ns(), error=why)

    def clear(self) -> None:
        """There is nothing to tell any more."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove %s, %s", self.path, error.strerror)

    def _write(self, **fields: object) -> bool:
        precision = self.precision if self.precision in KNOWN else ""
        values = {**fields, "schema": SCHEMA, "model": self.model, "precision": precision}
        values["told_ns"] = time.monotonic_ns()
        values |= {name: _fitting(str(values[name]), most) for name, most in TEXTS.items()}
        try:
            self.path.parent.mkdir(exist_ok=True)
            write_atomically(self.path, msgspec.json.encode(msgspec.convert(values, Note)))
        except OSError as error:
            log.warning("cannot tell the daemon about the engine, %s", error)
            return False
        return True


def note_path(socket: Path) -> Path:
    """Where the daemon that listens on `socket` looks for the note."""
    return socket.parent / FILE


def _fitting(text: str, most: int) -> str:
    """Without control characters, and cut where it is too long."""
    shown = plain(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


class Progress:
    """A `Report` that keeps the note about a build while the block runs; from its first call on.

    The note is renewed by a thread, since TensorRT may say nothing for minutes and a note that grows old is of a build
    that was killed.

    Args:
        note: where to tell; None tells nobody.
        then: gets every report too, and decides whether the build goes on.
    """

    def __init__(self, note: EngineNote | None, then: Report) -> None:
        self._note, self._then = note, then
        self._now = (0.0, "")
        self._began_ns = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="engine-note", daemon=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._note is not None and self._thread.ident is not None:
            self._thread.join()
            self._note.clear()

    def __call__(self, fraction: float, phase: str) -> bool:
        """See `Report`; one call at a time."""
        self._now = (fraction, phase)
        if self._note is not None and not self._began_ns and phase != ELSEWHERE:
            self._began_ns = time.monotonic_ns()
            start(self._thread)
        return self._then(fraction, phase)

    def _tell(self) -> None:
        while self._note is not None and self._note.building(*self._now, self._began_ns):
            if self._end.wait(BEAT_MS / 1_000):
                return

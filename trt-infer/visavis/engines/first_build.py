# SPDX-License-Identifier: Apache-2.0
"""The first engine is built while workers already serve with onnxruntime; when it is ready, they change over.

The build is a process of its own: it takes minutes and memory, and a fault of TensorRT must not end anything else.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from visavis.engines.note import EngineNote, note_path
from visavis.threads import start

if TYPE_CHECKING:
    from visavis.config_gen import Config

log = logging.getLogger(__name__)

STOP_LIMIT_S = 5.0


def wants_engine(config: Config) -> bool:
    """Whether workers look for an engine while they can do without one."""
    return config.detector.backend == "auto" and importlib.util.find_spec("tensorrt") is not None


def build_command(config: Config) -> list[str] | None:
    """The command that builds what workers of a configuration look for; None where there is no use for it."""
    if not wants_engine(config):
        return None
    detector = config.detector
    width, height = detector.input
    options = ["--input", f"{width}x{height}", "--batch", str(config.worker.credit), "--precision", detector.precision]
    options += ["--note", str(note_path(Path(config.worker.socket)))]
    # Detection comes first: the build takes what is left of the processor.
    return ["nice", sys.executable, "-m", "visavis.cli", "engine", "build", detector.model, *options, "--json"]


def build_note(config: Config) -> EngineNote:
    """Where the daemon is told about that build."""
    return EngineNote(note_path(Path(config.worker.socket)), config.detector.model, config.detector.precision)


class FirstBuild:
    """Builds while the block runs.

    Args:
        command: as `build_command` makes it; None builds nothing.
        note: is told when the build fails; the build itself tells how far it is.
        ready: called, from a thread, when an engine was built that was not there before; its argument is set when the
            block ends.
    """

    def __init__(self, command: list[str] | None, note: EngineNote, ready: Callable[[threading.Event], None]) -> None:
        self._command, self._note, self._ready = command, note, ready
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._build, name="first-build")

    def __enter__(self) -> FirstBuild:
        if self._command is not None:
            try:
                start(self._thread)
            except OSError as error:
                self._command = None
                self._fail(f"the build cannot be started, {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stop.set()
            process = self._process
        if process is not None:
            process.terminate()
        if self._command is not None:
            self._thread.join(STOP_LIMIT_S)
            if process is not None:
                process.kill()  # does nothing to one that has ended
            self._thread.join()

    def _build(self) -> None:
        try:
            process = self._start()
        except OSError as error:  # no memory or process is free for it
            self._fail(f"the build cannot be started, {error}")
            return
        if process is None:
            return
        said, _ = process.communicate()
        if self._stop.is_set():
            return
        answer = _last_object(said)
        if process.returncode != 0:
            self._fail(str(answer.get("error", f"the build ended with {process.returncode}")))
        elif answer.get("state") == "built":
            # Not a fault, but as much as a person wants to see beside the figures.
            log.warning("the engine is ready after %s s, workers change over to TensorRT", answer.get("took_s"))
            self._ready(self._stop)

    def _fail(self, why: str) -> None:
        log.warning("no engine for TensorRT, detection goes on without: %s", why)
        self._note.failed(why)

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._stop.is_set() or self._command is None:
                return None
            command = [*self._command, "--die-with-parent", str(os.getpid())]
            nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
            self._process = subprocess.Popen(
                command, stdin=nothing, stdout=pipe, encoding="utf-8", errors="replace", start_new_session=True
            )
            return self._process


def _last_object(said: str) -> dict[str, object]:
    """What the build says in its last line; nothing when it was killed before."""
    lines = said.splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}

# SPDX-License-Identifier: Apache-2.0
"""The programs that others read a device with, and the pages that tell how."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT
from tests.waiting import until

INSTALLED = ROOT / "build" / "adapters"
SHIPPED = ROOT / "adapters"
START_LIMIT_S = 120


def shown(page: str, kind: str, note: str) -> str:
    """The one block of a page with this note behind its fence, usually the name of the file that it is."""
    (found,) = (block.text for block in blocks(kind) if block.page.name == page and block.note == note)
    return found


def changed(text: str, **words: str) -> str:
    """A text with what everybody has to change for themselves; each must be there. `__` in a name stands for a dot."""
    for old, new in words.items():
        name = old.replace("__", ".")
        assert name in text, f"{name} is not in the text"
        text = text.replace(name, new)
    return text


def installed(name: str) -> str:
    """A program that `scripts/setup.sh adapters` put in place."""
    path = INSTALLED / name
    assert path.exists(), f"{path} is missing: run `make test-adapters`, which installs it"
    return str(path)


class Program:
    """A program that runs, with what it says."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        """Until it says this."""
        until(lambda: words in self.said() or self._process.poll() is not None, self.said, START_LIMIT_S)
        assert words in self.said(), self.said()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)


@contextmanager
def program(command: Sequence[str], log: Path) -> Iterator[Program]:
    """Run it while the block runs."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield Program(process, log)
        finally:
            process.kill()


def asked(url: str, **query: str) -> Any:
    """The JSON that a program answers; None while it does not."""
    address = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - it begins with http
            return json.loads(answer.read() or b"{}")
    except OSError:
        return None

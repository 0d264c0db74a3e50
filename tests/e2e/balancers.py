# SPDX-License-Identifier: Apache-2.0
"""What people put in front of devices: the real HAProxy and Caddy, set up as the pages say."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT


def on_page(page: str, kind: str) -> str:
    """The one block of its kind on a page."""
    (found,) = (block.text for block in blocks(kind) if block.page.name == page)
    return found


@contextmanager
def haproxy(file: Path) -> Iterator[None]:
    """HAProxy with a configuration, from its start to its end."""
    with program("haproxy", "usr/sbin/haproxy", file.parent, "-W", "-db", "-f", str(file)):
        yield


@contextmanager
def caddy(file: Path) -> Iterator[None]:
    """Caddy with a configuration; its authority lies beside that."""
    with program("caddy", "usr/bin/caddy", file.parent, "run", "--adapter", "caddyfile", "--config", str(file)):
        yield


@contextmanager
def program(name: str, path: str, folder: Path, *words: str) -> Iterator[None]:
    """One that is installed, or that set-up has unpacked with its libraries."""
    unpacked = ROOT / "build" / name
    libraries = ":".join(str(found) for found in unpacked.glob("usr/lib/*-linux-*"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command = [shutil.which(name) or str(unpacked / path), *words]
    with (
        (folder / f"{name}.log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT) as started,
    ):
        try:
            yield
        finally:
            started.terminate()

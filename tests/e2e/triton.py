# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's tritonclient, unchanged, in a process of its own: its pins exclude those of the product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kserve.servers import site

PROGRAM = Path(__file__).with_name("triton_program.py")


class TritonClient:
    """Calls of tritonclient."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, wire: str, address: str, method: str, **more: Any) -> dict[str, Any]:
        """Do one call: `said` or `tensors`, or `refused` with its `status`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"wire": wire, "address": address, "method": method, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "tritonclient's program has ended: its words are above"
        found: dict[str, Any] = json.loads(line)
        return found


def surroundings() -> dict[str, str]:
    """Where Python finds tritonclient."""
    return {**os.environ, "PYTHONPATH": str(site("tritonclient"))}


def run_beside_tritonclient(*arguments: str, folder: Path) -> str:
    """What a Python program prints."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def triton_client() -> Iterator[TritonClient]:
    """Start it for many calls."""
    command = [sys.executable, str(PROGRAM)]
    with subprocess.Popen(
        command, env=surroundings(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield TritonClient(process)
        assert process.stdin
        process.stdin.close()

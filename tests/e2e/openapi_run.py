# SPDX-License-Identifier: Apache-2.0
"""Schemathesis against the real appliance, with logins, a camera, one that clients feed, and the real detector.

Run as a program it tries for longer than the tests do: `python -m tests.e2e.openapi_run EXAMPLES`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.conftest import RunningAppliance, running
from tests.unit.command import PROGRAM
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[auth]
enabled = true
file = "credentials.toml"
[mqtt]
url = ""
[gateway]
deadline_ms = 20000
[[camera]]
id = "door"
source = "demo:"
size = [320, 240]
fps = 5
[[camera]]
id = "robot"
source = "push:"
"""
# What a right request may get beside an answer: nobody opened a WebSocket, or pictures come too fast for the detector.
FINE_REFUSALS = ["2xx", "401", "403", "404", "409", "410", "422", "426", "429", "503"]
# A schema cannot say that a tensor has as many numbers as its shape: /v2 refuses others with 400.
CHECKS = f"""
[checks.positive_data_acceptance]
expected-statuses = {json.dumps(FINE_REFUSALS)}
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
[[operations]]
include-path = "/v2/models/{{model}}/infer"
[operations.checks.positive_data_acceptance]
expected-statuses = {json.dumps([*FINE_REFUSALS, "400"])}
"""
# The same requests each time, one for each limit of each parameter; and those that it thinks up itself.
KNOWN_PHASES = ["--phases", "examples,coverage"]
MORE_PHASES = ["--phases", "examples,coverage,fuzzing,stateful"]


@dataclass(frozen=True)
class Judged:
    """The appliance, and an administrator's token."""

    appliance: RunningAppliance
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.appliance.http_port}"

    def get(self, route: str) -> bytes:
        request = urllib.request.Request(self.url + route, headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=HANG_S) as answer:  # noqa: S310
            return bytes(answer.read())


@dataclass(frozen=True)
class Verdict:
    """What schemathesis did and found."""

    requests: int
    operations: int
    faults: list[str]
    said: str


@contextmanager
def described_device(folder: Path) -> Iterator[Judged]:
    """An appliance with a camera "door", and "robot" that nobody feeds."""
    with running(folder, SETTINGS) as appliance:
        command = [str(PROGRAM), "auth", "add", "judge", "--role", "admin", "--token", "--config", str(appliance.file)]
        token = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        yield Judged(appliance, token)


def judge(device: Judged, *phases: str) -> Verdict:
    """Let schemathesis try every operation; `phases` are options of its command line."""
    with tempfile.TemporaryDirectory() as folder:
        settings, report = Path(folder) / "schemathesis.toml", Path(folder) / "report.json"
        settings.write_text(CHECKS)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
        command += [f"{device.url}/openapi.json", "-H", f"Authorization: Bearer {device.token}", "--checks", "all"]
        command += ["--request-timeout", str(2 * HANG_S)]
        command += ["--no-color", "--continue-on-failure", "--report", "json", "--report-json-path", str(report)]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.openapi_hooks", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, *phases], env=environment, capture_output=True, text=True, check=False, cwd=folder
        )
        assert report.exists(), done.stdout + done.stderr
        return verdict(json.loads(report.read_text()), done.stdout)


def verdict(report: dict[str, Any], said: str) -> Verdict:
    faults = [f"{found['title']}: {', '.join(found['operations'])}" for found in report["failures"]]
    faults += [f"{found['title']} × {found['count']}" for found in report["errors"]]
    return Verdict(report["test_cases"]["generated"], report["operations"]["tested"], faults, said)


def main(examples: int) -> int:
    with tempfile.TemporaryDirectory() as folder, described_device(Path(folder)) as device:
        found = judge(device, *MORE_PHASES, "--max-examples", str(examples))
    print(found.said)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

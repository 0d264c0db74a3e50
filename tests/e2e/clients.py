# SPDX-License-Identifier: Apache-2.0
"""What clients do to the gateway: send pictures, read answers, watch the daemon's memory and metrics."""

from __future__ import annotations

import http.client
import json
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from websockets.sync.connection import Connection

from tests.e2e.conftest import RunningAppliance
from tests.peak import Peak
from tests.waiting import HANG_S, until

JPEG = "image/jpeg"
# A device without a broker; detector, cameras and limits are for each test to add.
ALONE = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = ""
"""
# Its workers answer in a time that one knows.
FAKE_WORKERS = (
    ALONE
    + """
[detector]
backend = "fake"
input = [320, 240]
"""
)


@dataclass(frozen=True)
class Answer:
    """One answer, with the time that it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    took_s: float

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


def post(
    appliance: RunningAppliance,
    picture: bytes,
    content_type: str = JPEG,
    query: str = "",
    source: str = "127.0.0.1",
    path: str = "/api/v1/detect",
    **headers: str,
) -> Answer:
    """POST one picture on a connection of its own, from one of loopback's addresses."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(
        "127.0.0.1", appliance.http_port, timeout=HANG_S, source_address=(source, 0)
    )
    try:
        named = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", f"{path}{query}", picture, named)
        answer = connection.getresponse()
        body = answer.read()
        return Answer(answer.status, dict(answer.headers), body, time.monotonic() - began)
    finally:
        connection.close()


def worker_ids(appliance: RunningAppliance) -> set[int]:
    """The numbers of the workers' connections, of which none comes twice."""
    return {worker["id"] for worker in appliance.status()["workers"]}


def until_replaced(appliance: RunningAppliance, before: set[int]) -> None:
    """Wait until there are as many workers as before, but not the same."""
    until(lambda: len(now := worker_ids(appliance)) == len(before) and now != before, "no worker comes back")


def metrics(appliance: RunningAppliance, name: str) -> dict[str, float]:
    """Values of one metric by what stands in its braces."""
    return values(appliance.get("/metrics").decode(), name)


def values(text: str, name: str) -> dict[str, float]:
    """The same of metrics that were read together, and hold for one instant."""
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    assert found, f"there is no metric {name}"
    return {labels: float(value) for labels, value in found}


def anonymous_bytes(pid: int) -> int:
    """RssAnon of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"RssAnon:\s+(\d+) kB", text)
    assert match
    return int(match[1]) * 1024


class PeakMemory(Peak[int]):
    """The most RssAnon that a process had inside a `with`, above what it had before."""

    def __init__(self, pid: int) -> None:
        super().__init__(partial(anonymous_bytes, pid), 0.002)
        self._before = self.most

    @property
    def extra(self) -> int:
        return self.most - self._before


def send_too_much(socket: Connection) -> None:
    """Send one message that is larger than any picture may be, and wait for what comes of it."""
    socket.send(bytes(17 * 2**20))
    socket.recv(HANG_S)

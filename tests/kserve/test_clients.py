# SPDX-License-Identifier: Apache-2.0
"""Pictures of clients while the model server says nothing, or a worker that asks it comes and goes: none is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bombs import photo
from tests.e2e.clients import ALONE, post
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_crew import answered_by, busy, joined
from tests.kserve.conftest import Asking
from tests.kserve.servers import Served
from tests.waiting import HANG_S, until

SETTINGS = (
    ALONE
    + """
[detector]
input = [320, 256]
backend = "kserve"
kserve_url = "{url}"
kserve_deadline_ms = 300
[gateway]
deadline_ms = 30000
"""
)
# It infers here, with time for the queue of a busy machine; no lease ends by itself.
LOCAL = (
    ALONE
    + """
[detector]
input = [320, 256]
backend = "onnxruntime"
workers = 1
[gateway]
deadline_ms = 20000
[worker]
lease_ms = 60000
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 20
"""
)
PICTURE = photo(".jpg", width=640, height=480)


def backends(appliance: RunningAppliance) -> list[str]:
    return [worker["backend"] for worker in appliance.status()["workers"]]


@pytest.mark.slow
def test_no_picture_is_refused_while_the_server_is_silent_and_when_it_is_back(kserve: Served, tmp_path: Path) -> None:
    """The only worker connects anew twice: under the name of this machine, and of the server."""
    settings = "camera = []\n" + SETTINGS.replace("{url}", kserve.url("grpc"))
    with running(tmp_path, settings) as appliance:
        told: list[int] = []

        def answered_by(backend: str) -> bool:
            told.append(post(appliance, PICTURE).status)
            return backends(appliance) == [backend]

        for change, backend in ((kserve.thaw, "kserve"), (kserve.freeze, "onnxruntime"), (kserve.thaw, "kserve")):
            change()
            until(lambda: answered_by(backend), lambda: f"{backends(appliance)}: {appliance.log.read_text()}", 60)  # noqa: B023
        assert set(told) == {200}, told


def guest(appliance: RunningAppliance) -> dict[str, Any]:
    """What the status says of the worker that has joined; nothing before and afterwards."""
    return next((worker for worker in appliance.status()["workers"] if worker["name"] == "guest"), {})


@pytest.mark.slow
def test_a_worker_that_asks_a_server_joins_and_leaves_and_nobody_notices(
    mlserver: Served, asking: Asking, tmp_path: Path
) -> None:
    asking(mlserver.url("grpc"))  # a server's first answer takes long
    asks = ("--backend", "kserve", "--kserve-url", mlserver.url("grpc"), "--kserve-deadline-ms", "5000")
    with running(tmp_path, LOCAL) as appliance, busy(appliance):
        with joined(appliance, *asks, "--input", "320x256") as process:
            until(lambda: answered_by(appliance, "guest") > 20, "the worker that joined has nothing to do", 60)
            assert guest(appliance)["backend"] == "kserve"
            assert guest(appliance)["server"] == {"losses": 0, "local_frames": 0}
            process.terminate()
            assert process.wait(HANG_S) == 0
        until(lambda: not guest(appliance), "the worker that left is still counted")
        before = answered_by(appliance, "worker-1")
        until(lambda: answered_by(appliance, "worker-1") > before + 20, "the worker that stayed does nothing")

# SPDX-License-Identifier: Apache-2.0
"""Pictures of clients while the model server says nothing: this machine infers, and nobody is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.bombs import photo
from tests.e2e.clients import ALONE, post
from tests.e2e.conftest import RunningAppliance, running
from tests.kserve.servers import Served
from tests.waiting import until

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

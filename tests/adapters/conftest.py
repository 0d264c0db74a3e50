# SPDX-License-Identifier: Apache-2.0
"""One device with the demo, for all programs that read devices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import RunningAppliance, running

DEVICE = """
[device]
id = "porch"
[web]
listen = "127.0.0.1:{http_port}"
[auth]
file = "credentials.toml"
[mqtt]
url = "managed"
[[camera]]
id = "door"
source = "demo:"
size = [640, 480]
fps = 10
zones = [{{ name = "step", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]
lines = [{{ name = "sill", start = [0.5, 0], end = [0.5, 1] }}]
"""


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("device"), DEVICE) as appliance:
        yield appliance

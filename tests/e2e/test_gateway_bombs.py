# SPDX-License-Identifier: Apache-2.0
"""Pictures that are not what they seem: each gets its exact status, and the daemon's memory hardly notices."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest

from tests.e2e.bombs import Bomb, all_bombs
from tests.e2e.clients import Answer, PeakMemory, post
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import daemon_pid, schema
from tests.e2e.test_gateway import assert_pictures_add_up, photos

EXTRA_BYTES = 64 * 2**20
SETTINGS = """
[web]
listen = "127.0.0.1:{http_port}"
[mqtt]
url = ""
[detector]
backend = "fake"
[gateway]
deadline_ms = 30000
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 5
"""
BOMBS = all_bombs()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("gateway"), SETTINGS) as appliance:
        assert post(appliance, photos()[0].read_bytes()).status == 200
        yield appliance
        assert_pictures_add_up(appliance)


def throw(gateway: RunningAppliance, bomb: Bomb) -> Answer:
    headers = {name.replace("-", "_"): value for name, value in bomb.headers.items()}
    return post(gateway, bomb.body, bomb.content_type, **headers)


@pytest.mark.parametrize("name", BOMBS)
def test_each_bomb_gets_its_exact_status_in_little_memory(gateway: RunningAppliance, name: str) -> None:
    with PeakMemory(daemon_pid(gateway)) as memory:
        answer = throw(gateway, BOMBS[name])
    assert answer.status == BOMBS[name].status, answer
    if answer.status != 200:
        jsonschema.validate(answer.json, schema("problem"))
    assert memory.extra < EXTRA_BYTES, f"{memory.extra / 2**20:.0f} MiB"


def test_all_bombs_at_once_share_the_memory_for_decoding(gateway: RunningAppliance) -> None:
    # Bodies of tens of MiB are refused by their length, but sending them takes the test's own memory and time.
    thrown = {name: bomb for name, bomb in BOMBS.items() if len(bomb.body) < 2**20}
    thrown |= {f"16 MP, number {number}": BOMBS["png: 16 MP, all there"] for number in range(8)}
    assert len(thrown) >= 40
    with PeakMemory(daemon_pid(gateway)) as memory, ThreadPoolExecutor(8) as pool:
        answers = dict(zip(thrown, pool.map(lambda bomb: throw(gateway, bomb), thrown.values()), strict=True))
    wrong = {name: answer for name, answer in answers.items() if answer.status != thrown[name].status}
    assert not wrong
    assert memory.extra < EXTRA_BYTES, f"{memory.extra / 2**20:.0f} MiB"

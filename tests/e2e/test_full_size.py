# SPDX-License-Identifier: Apache-2.0
"""Pictures in their own size beside others and a camera: everything is answered and counted, and workers live on."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import cv2
import numpy as np

from tests.e2e.clients import FAKE_WORKERS, metrics, post
from tests.e2e.conftest import RunningAppliance, Start
from tests.e2e.test_appliance import assert_status_adds_up, worker_pid
from tests.e2e.test_gateway import assert_pictures_add_up
from tests.waiting import until

SETTINGS = (
    FAKE_WORKERS
    + """
[gateway]
deadline_ms = 20000
full_side = 640
[[camera]]
id = "demo"
source = "demo:"
size = [320, 240]
fps = 20
"""
)


def picture(width: int, height: int) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def test_large_and_small_pictures_and_a_camera_share_the_workers(start_appliance: Start) -> None:
    appliance = start_appliance(SETTINGS)
    appliance.wait_ready()
    seen: Counter[tuple[str, int]] = Counter()

    def send(query: str, body: bytes) -> None:
        for _ in range(10):
            seen[query, post(appliance, body, query=query).status] += 1

    senders = [
        threading.Thread(target=send, args=(query, picture(width, height)))
        for query, width, height in (("?input=full", 640, 480), ("?input=full", 33, 47), ("", 640, 480), ("", 800, 800))
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        assert_status_adds_up(appliance)
        sender.join()
    assert sum(seen.values()) == 40
    assert {status for _, status in seen} <= {200, 429}, seen
    assert seen["?input=full", 200]
    assert seen["", 200]
    assert_pictures_add_up(appliance)
    inferred = metrics(appliance, "visavis_client_frames_total")['fate="inferred"']
    assert inferred == seen["?input=full", 200] + seen["", 200]
    os.kill(worker_pid(appliance), signal.SIGKILL)
    answer = until(lambda: answered(appliance), "no worker came back")
    assert (answer["width"], answer["height"]) == (640, 480)
    assert_status_adds_up(appliance)
    assert appliance.stop() == 0


def answered(appliance: RunningAppliance) -> dict[str, int]:
    answer = post(appliance, picture(640, 480), query="?input=full")
    return answer.json if answer.status == 200 else {}

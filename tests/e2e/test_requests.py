# SPDX-License-Identifier: Apache-2.0
"""Requests that are found again in the log, pictures that add up in the status, and what one address may send."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from websockets.sync.client import connect

from tests.e2e.clients import metrics, post
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.test_appliance import schema
from tests.e2e.test_gateway import photos
from tests.waiting import HANG_S, until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RATE = 2  # fewer than the slowest machine sends one after the other
BECAME = {200: "answered", 422: "invalid", 429: "too_fast"}
SETTINGS = f"""
[device]
id = "box"
[web]
listen = "127.0.0.1:{{http_port}}"
log_requests = "all"
[mqtt]
url = ""
[detector]
backend = "fake"
input = [320, 240]
[gateway]
deadline_ms = 20000
rate = {RATE}
[[camera]]
id = "robot"
source = "push:"
"""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    with running(tmp_path_factory.mktemp("requests"), SETTINGS) as started:
        yield started


def clients(appliance: RunningAppliance) -> dict[str, Any]:
    """The clients' pictures in the status, which add up at every instant."""
    status = appliance.status()
    jsonschema.validate(status, schema("status"))
    found: dict[str, Any] = status["clients"]
    assert found["received"] == found["answered"] + sum(found["refused"].values()) + found["open"], found
    return found


def line_of(appliance: RunningAppliance, request_id: str) -> str:
    def find() -> str:
        lines = [line for line in appliance.log.read_text().splitlines() if f"request_id={request_id}" in line]
        return lines[0] if lines else ""

    return str(until(find, f"no line of {request_id} in the log"))


def test_a_request_is_found_again_by_its_id_and_its_trace(appliance: RunningAppliance) -> None:
    named = {"X_Request_Id": "shop:17", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    answer = post(appliance, photos()[0].read_bytes(), source="127.0.0.5", **named)
    assert (answer.status, answer.headers["X-Request-Id"]) == (200, "shop:17")
    line = line_of(appliance, "shop:17")
    assert re.search(rf"path=/api/v1/detect status=200 .*trace_id={TRACE} parent_id={PARENT}", line), line
    wrong = post(appliance, b"", source="127.0.0.5", X_Request_Id="not one\tof ours")
    given = wrong.headers["X-Request-Id"]
    jsonschema.validate(wrong.json, schema("problem"))
    assert (wrong.status, wrong.json["request_id"]) == (422, given)
    assert "status=422" in line_of(appliance, given)


def test_a_problem_in_a_stream_names_the_request_that_opened_it(appliance: RunningAppliance) -> None:
    for route in ("detect/stream", "cameras/robot/push"):
        address = f"ws://127.0.0.1:{appliance.http_port}/api/v1/{route}"
        with connect(address, additional_headers={"X-Request-Id": "robot-9"}) as socket:
            assert socket.response is not None
            assert socket.response.headers["X-Request-Id"] == "robot-9"
            socket.send(b"no picture")
            assert json.loads(socket.recv(HANG_S))["problem"]["request_id"] == "robot-9"


def test_an_address_that_sends_too_much_is_told_when_to_come_back(appliance: RunningAppliance) -> None:
    before = clients(appliance)["refused"]["too_fast"]
    picture = photos()[0].read_bytes()
    answers = [post(appliance, picture, source="127.0.0.2")]
    while answers[-1].status == 200:
        assert len(answers) < 500, "nothing is refused"
        answers.append(post(appliance, picture, source="127.0.0.2"))
    assert len(answers) > 2 * RATE, "refused before the burst was used up"
    refused = answers[-1]
    jsonschema.validate(refused.json, schema("problem"))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert "gateway.rate" in refused.json["detail"]
    assert post(appliance, picture, source="127.0.0.3").status == 200
    assert clients(appliance)["refused"]["too_fast"] == before + 1


def test_every_picture_counts_once_whatever_becomes_of_it(appliance: RunningAppliance) -> None:
    before, picture, seen = clients(appliance), photos()[0].read_bytes(), Counter[str]()
    with connect(f"ws://127.0.0.1:{appliance.http_port}/api/v1/detect/stream", max_size=None) as stream:
        until(lambda: clients(appliance)["streams"] == 1, "the stream is not counted")
        for _ in range(50):
            stream.send(picture)
        index = -1
        while index != 49:
            clients(appliance)
            answer = json.loads(stream.recv(HANG_S))
            index = answer["frame"]
            seen["replaced"] += len(answer["dropped_frames"])
            seen["too_fast" if "problem" in answer else "answered"] += 1
    for body in (picture, b"no picture", picture):
        seen[BECAME[post(appliance, body, source="127.0.0.4").status]] += 1
    until(lambda: clients(appliance)["open"] == 0, "pictures stay open")
    after = clients(appliance)
    assert after["received"] == before["received"] + 53
    assert after["answered"] == before["answered"] + seen["answered"]
    for reason, count in after["refused"].items():
        assert count == before["refused"][reason] + seen[reason], reason
    counted = metrics(appliance, "visavis_client_pictures_total")
    assert sum(counted.values()) == after["received"]

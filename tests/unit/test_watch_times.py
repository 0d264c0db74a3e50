# SPDX-License-Identifier: Apache-2.0
"""Times that devices tell, for viewers in other zones: `visavis watch` has a line for each, or says that it has not."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
from visavis.cli.watch import line
from visavis.client.connection import Message
from visavis.client.messages import _warn, read

EVENT = {
    **{"schema": 1, "type": "appeared", "id": "01JDF2V0000000000000000000", "visit": "01JDF2V0000000000000000000"},
    **{"camera": "door", "track": 1, "best": {"box": [1, 2, 3, 4], "score": 0.9}},
}
TOPIC = "visavis/porch/events"


@pytest.fixture(params=["America/New_York", "UTC", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where this program runs."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def shown(**times: str) -> str | None:
    """The line for an event of these times; None where it is left out."""
    reading = read(Message(TOPIC, json.dumps(EVENT | times).encode()))
    return None if reading is None else line(reading)


@pytest.mark.parametrize(
    "times",
    [
        {"started_at": "0001-01-01T00:00:00Z"},
        {"started_at": "9999-12-31T23:59:59Z"},
        {"started_at": "2026-12-01T10:00:00"},
        {"started_at": "2026-12-01T10:00:00Z", "ended_at": "9999-12-31T23:59:59.999Z"},
    ],
)
def test_a_time_that_no_clock_shows_is_left_out(
    times: dict[str, str], zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    del zone
    _warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert shown(**times) is None
    assert caplog.messages == [f"a message on {TOPIC} is not one that this version reads: left out"]


@pytest.mark.parametrize(
    "at", ["1970-01-01T00:00:00Z", "1969-12-31T23:59:58Z", "1970-01-01T05:00:00+14:00", "9998-12-31T23:59:59Z"]
)
def test_what_a_device_without_a_clock_tells_is_shown(at: str, zone: str) -> None:
    del zone
    assert str(shown(started_at=at)).endswith("  porch/door  face 1 appeared")


def test_the_time_is_that_of_the_viewer(zone: str) -> None:
    begins = {"America/New_York": "05:00:00.000-05:00", "UTC": "10:00:00.000+00:00", "Asia/Tokyo": "19:00:00.000+09:00"}
    assert str(shown(started_at="2026-12-01T10:00:00Z")).startswith(begins[zone])

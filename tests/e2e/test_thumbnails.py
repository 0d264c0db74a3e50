# SPDX-License-Identifier: Apache-2.0
"""The pictures of events, from the real appliance: hidden as viewers see faces, kept over a restart, bounded."""

from __future__ import annotations

import os
import re
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.conftest import RunningAppliance
from tests.e2e.event_stream import pages
from tests.e2e.subscriber import subscribed, violation
from tests.e2e.test_appliance import DEMO
from tests.waiting import until

QUICK = DEMO + "fps = 90\n"
PLAIN = QUICK + '[[camera]]\nid = "plain"\nsource = "demo:"\nsize = [640, 480]\nfps = 90\nprivacy = "none"\n'
KEEPING = "[history]\nthumbnails_mb = 64\n"
PATH = re.compile(r"/api/v1/events/([0-9A-Z]{26})/thumbnail\.jpg")
PADDED_BYTES = 200_000


@pytest.mark.slow
def test_events_refer_to_pictures_that_hide_faces_as_viewers_see_them(
    start_appliance: Callable[..., RunningAppliance],
) -> None:
    appliance = start_appliance(PLAIN + KEEPING)
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/events") as seen:
        until(lambda: finished(told(seen)) == {"demo", "plain"}, lambda: f"visits end: {told(seen)}", 120)
    assert [violation(message) for message in seen.all() if violation(message)] == []
    events = told(seen)
    assert all(PATH.fullmatch(event["thumbnail"]) for event in events), events
    roughness = {"demo": [], "plain": []}  # type: dict[str, list[float]]
    for event in events:
        roughness[event["camera"]].append(roughness_of_the_face(decoded(appliance, event["thumbnail"])))
    assert max(roughness["demo"]) < min(roughness["plain"]) / 2, roughness
    paths = sorted({event["thumbnail"] for event in events})
    assert appliance.stop() == 0

    again = start_appliance(PLAIN + KEEPING)
    again.wait_ready()
    kept = [event for event in pages(again) if event["thumbnail"] in paths]
    assert {event["id"] for event in events} <= {event["id"] for event in kept}, "the API tells of other pictures"
    for path in paths:
        decoded(again, path)
    assert again.stop() == 0

    oldest = paths[0]
    pad_behind(PATH.fullmatch(oldest)[1])  # type: ignore[index]
    bounded = start_appliance(PLAIN + "[history]\nthumbnails_mb = 1\n")
    bounded.wait_ready()
    until(lambda: not found(bounded, oldest), "the oldest picture makes room", 60)
    assert found(bounded, paths[-1])
    assert {event["id"] for event in events} <= {event["id"] for event in pages(bounded)}, "its event went, too"


@pytest.mark.slow
def test_unless_told_to_it_keeps_no_picture(start_appliance: Callable[..., RunningAppliance]) -> None:
    appliance = start_appliance(QUICK)
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/events") as seen:
        until(lambda: told(seen), "somebody appears", 120)
    assert not any("thumbnail" in event for event in told(seen))
    assert not found(appliance, f"/api/v1/events/{told(seen)[0]['id']}/thumbnail.jpg")


def told(seen: Any) -> list[dict[str, Any]]:
    return [message.json() for message in seen.all()]


def finished(events: list[dict[str, Any]]) -> set[str]:
    """The cameras at which a visit has been told from its beginning to its end."""
    begun = {event["visit"] for event in events if event["type"] == "appeared"}
    return {event["camera"] for event in events if event["type"] == "gone" and event["visit"] in begun}


def found(appliance: RunningAppliance, path: str) -> bool:
    try:
        appliance.get(path)
    except urllib.error.HTTPError as refused:
        if refused.code == 404:
            return False
        raise
    return True


def decoded(appliance: RunningAppliance, path: str) -> npt.NDArray[np.uint8]:
    """A picture, grey."""
    picture = cv2.imdecode(np.frombuffer(appliance.get(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert max(picture.shape) <= 420, picture.shape
    return np.asarray(picture, np.uint8)


def roughness_of_the_face(picture: npt.NDArray[np.uint8]) -> float:
    """How much nine of ten neighbours in the middle differ at most: next to nothing inside the blocks of a mosaic."""
    height, width = picture.shape
    face = picture[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5].astype(np.int16)
    return float(np.percentile(np.abs(np.diff(face, axis=1)), 90))


def pad_behind(event_id: str) -> None:
    """Put more than a mebibyte of pictures into the album, each a little younger than the event's."""
    folder = Path(os.environ["VISAVIS_STATE_DIR"]) / "thumbnails" / "box"
    padding = b"\xff\xd8" + bytes(PADDED_BYTES) + b"\xff\xd9"
    for number in range(6):
        (folder / f"{event_id[:20]}ZZZZZ{number}.demo.pixelate.jpg").write_bytes(padding)

# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/schemas by contracts/generate.py: do not edit.
"""What a device says over MQTT. Fields that a newer device adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its distance from UTC: which it was must not depend on the zone of who reads."""
# A device without a clock counts from 1970, and what it tells of may have begun before. In the last year that Python
# knows, and in its first, not every zone has a form of every time.
FIRST_YEAR, LAST_YEAR = 1900, 9998


def _must_be_of_some_clock(*times: datetime | None) -> None:
    for at in times:
        if at is not None and not FIRST_YEAR <= at.year <= LAST_YEAR:
            raise ValueError(f"no clock shows the year {at.year}")


Box: TypeAlias = tuple[float, float, float, float]
"""X, y, width, height in pixels of the picture, origin top left."""


Point: TypeAlias = tuple[float, float]
"""X, y in pixels of the picture, origin top left."""


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """One face.

    Attributes:
        box: x, y, width, height in pixels of the picture, origin top left.
        score: how sure the model is.
        landmarks: eyes, nose, corners of the mouth; left out by models without them.
        track: number of the followed face; left out until it is confirmed.
    """

    box: Box
    score: float
    landmarks: tuple[Point, ...] | None = None
    track: int | None = None


class LatencyMs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a frame went.

    Attributes:
        capture: milliseconds.
        queue: milliseconds.
        handoff: milliseconds.
        infer: milliseconds.
        publish: milliseconds.
        total: milliseconds.
    """

    capture: float
    queue: float
    handoff: float
    infer: float
    publish: float
    total: float


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """Captured frames that were not inferred, by reason.

    Attributes:
        superseded: frames.
        no_slot: frames.
        aborted: frames.
        abandoned: frames.
    """

    superseded: int
    no_slot: int
    aborted: int
    abandoned: int


class Detections(msgspec.Struct, frozen=True, kw_only=True):
    """Faces of one inferred frame.

    Attributes:
        schema: version of this payload.
        device: device.id.
        camera: id of the camera.
        frame: capture sequence number of the camera.
        captured_at: when the picture was taken, UTC.
        width: of the picture, pixels.
        height: of the picture, pixels.
        model: name of the model.
        faces: all faces, none if there is none.
        latency_ms: where the time of this frame went.
        dropped: captured frames since the previous message that were not inferred.
    """

    schema: Literal[1]
    device: str
    camera: str
    frame: int
    captured_at: Time
    width: int
    height: int
    model: str
    faces: tuple[Face, ...]
    latency_ms: LatencyMs
    dropped: Dropped

    def __post_init__(self) -> None:
        _must_be_of_some_clock(self.captured_at)


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The surest sight of the face.

    Attributes:
        box: x, y, width, height in pixels of the picture, origin top left.
        score: how sure the model is.
    """

    box: Box
    score: float


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to one face.

    Attributes:
        schema: version of this payload.
        id: a ULID; rises on one device, and is the same when an event is sent again.
        visit: a ULID; the same for all events of one face from appeared to gone.
        camera: id of the camera.
        track: number of the face; begins at 1 with the daemon.
        zone: of entered and left.
        line: of crossed.
        direction: of crossed.
        started_at: UTC; when it was first seen, first seen inside, or when it crossed; the end says the same as the beginning.
        ended_at: UTC; of left and gone: when it was last seen inside, or last seen.
        dwell_ms: of left and gone: how long it lasted, by a clock that does not jump; so it is not always ended_at - started_at.
        cut_off: of left and gone: the daemon was killed before the end, so ended_at is when the visit was last told of, and dwell_ms follows from that.
        thumbnail: path on the device's page of a small JPEG of the face and what is around it, hidden as the camera's privacy says; absent if none was made.
    """

    schema: Literal[1]
    type: Literal["appeared", "entered", "crossed", "left", "gone"]
    id: str
    visit: str
    camera: str
    track: int
    zone: str | None = None
    line: str | None = None
    direction: Literal["in", "out"] | None = None
    started_at: Time
    ended_at: Time | None = None
    dwell_ms: int | None = None
    cut_off: bool = False
    best: Best
    thumbnail: str | None = None

    def __post_init__(self) -> None:
        _must_be_of_some_clock(self.started_at, self.ended_at)


class EngineBuild(msgspec.Struct, frozen=True, kw_only=True):
    """A TensorRT engine that is being built, or why TensorRT cannot be used; not there while there is nothing to tell.

    Attributes:
        model: the model's name.
        precision: of the engine, empty when that was not known yet.
        percent: how much of the build is done; sent every five seconds at most.
        phase: what the builder does now.
        since: when the build began or failed.
        error: why it failed, with the remedy.
    """

    state: Literal["building", "failed"]
    model: str
    precision: Literal["", "fp16", "fp32", "int8"]
    percent: int
    phase: str
    since: Time
    error: str | None = None

    def __post_init__(self) -> None:
        _must_be_of_some_clock(self.since)


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What the device is.

    Attributes:
        schema: version of this payload.
        version: of visavis.
        latest_version: the newest version that this device could have, if something looks for it.
        model: name of the model that runs.
        backend: what runs it; several are joined by commas, empty while no worker is connected.
        precision: number format that runs: fp16, fp32, int8; several are joined by commas, empty while none is known.
        fallback: a worker runs on the CPU because the GPU failed three times.
        slowed: the device is too hot, so faces are looked for less often.
        engine: a TensorRT engine that is being built, or why TensorRT cannot be used; not there while there is nothing to tell.
        workers: configured workers.
        cameras: ids.
        url: of the page, empty when only this device can reach it.
        brokers: whether each broker is there, by its section of the configuration.
    """

    schema: Literal[1]
    version: str
    latest_version: str | None = None
    model: str
    backend: str
    precision: str
    fallback: bool
    slowed: bool | None = None
    engine: EngineBuild | None = None
    workers: int
    cameras: tuple[str, ...]
    url: str
    brokers: dict[str, bool]


class CameraStats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one camera.

    Attributes:
        fps_captured: pictures a second.
        fps_inferred: pictures a second.
        dropped: frames since the start.
        latency_ms_p50: median.
        latency_ms_p99: 99th percentile.
    """

    fps_captured: float
    fps_inferred: float
    dropped: Dropped
    latency_ms_p50: LatencyMs
    latency_ms_p99: LatencyMs


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the last seconds.

    Attributes:
        schema: version of this payload.
        temperature_c: of the hottest sensor; left out where there is none.
        inference_share: part of their time in which workers may work, less than 1 while the device is too hot.
        memory_bytes: anonymous memory of the daemon.
    """

    schema: Literal[1]
    cameras: dict[str, CameraStats]
    temperature_c: float | None = None
    inference_share: float | None = None
    memory_bytes: int

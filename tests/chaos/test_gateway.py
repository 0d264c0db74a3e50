# SPDX-License-Identifier: Apache-2.0
"""Short rounds of what `make chaos` does to the gateway, and what its report says of cameras. Time is the report's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.attacks import Reply
from tests.chaos.gateway_report import ATTACKS, cameras, only_fine
from tests.chaos.gateway_scenarios import (
    FPS,
    LARGER,
    PATIENT,
    PICTURE,
    Device,
    Frames,
    Span,
    attacked,
    kills,
    odd,
    refusals,
    statuses,
    while_calling,
)
from tests.chaos.grpc_attacks import (
    CALLS_MOST,
    CLOSED,
    CONNECTIONS_MOST,
    HonestCaller,
    giant_calls,
    idle_connections,
    scattered_calls,
    slow_calls,
)
from tests.waiting import until

GO_LIMITS = Path(__file__).resolve().parents[2] / "go-capture" / "internal" / "gateway" / "overgrpc" / "server.go"
WINDOW = 64 << 10  # bytes; window there
REFUSED = {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """The same where clients wait for long: how many are answered is no matter of this machine's speed."""
    with attacked(tmp_path_factory.mktemp("patient"), backend="fake", gateway=PATIENT) as device:
        yield device


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """With a detector whose time one knows."""
    with attacked(tmp_path_factory.mktemp("device"), backend="fake") as device:
        yield device


def assert_cameras_went_on(spans: list[Span]) -> None:
    assert all(frames.inferred > 0 for frames in spans[0].cameras.values()), spans


def assert_calls_are_answered(device: Device) -> None:
    """Whatever was done before, a client is answered again, and none is left without an answer."""
    caller = HonestCaller(device.grpc_port)
    try:
        until(lambda: caller.post(PICTURE).code == "OK", "no call is answered any more")
    finally:
        caller.close()
    until(lambda: device.open_pictures() == 0, "a picture stays open")


def test_clients_of_killed_workers_are_answered_or_refused_at_the_default_deadline(device: Device) -> None:
    # All may wait at once (gateway.queue), but not as long as one worker alone would need for them.
    with device.watched() as spans:
        replies = kills(device, clients=64, count=3, every_s=1.0)
    assert not odd(replies), statuses(replies)
    assert statuses(replies)[200] > 0 < refusals(replies), statuses(replies)
    assert_cameras_went_on(spans)
    until(lambda: device.open_pictures() == 0, "a picture stays open")


def test_slow_calls_of_grpc_end_by_themselves(device: Device) -> None:
    with device.watched() as spans:
        told = slow_calls(device.grpc_port, 100)
    assert {one.code for one in told} <= {CLOSED} | REFUSED, told
    assert {CLOSED} < {one.code for one in told}, told
    assert_cameras_went_on(spans)
    assert_calls_are_answered(device)


def test_slow_calls_of_grpc_from_many_addresses_keep_nobody_out(patient: Device) -> None:
    assert len(LARGER) > WINDOW
    with patient.watched() as spans:
        told, seen = while_calling(patient, lambda: scattered_calls(patient.grpc_port, 16, 2.0), LARGER)
    assert {one.code for one in told} <= {CLOSED} | REFUSED, told
    assert sum(one.code == "OK" for one in seen) > 0.8 * len(seen), seen
    assert_cameras_went_on(spans)
    assert_calls_are_answered(patient)


def test_giant_calls_of_grpc_are_refused(device: Device) -> None:
    with device.watched() as spans:
        told, seen = while_calling(device, lambda: giant_calls(device.grpc_port, 4, 2.0))
    assert {one.code for one in told} <= {CLOSED, "INVALID_ARGUMENT"}, told
    assert any(one.code == "INVALID_ARGUMENT" for one in told), told
    assert {one.code for one in seen} <= {"OK"} | REFUSED, seen
    assert_cameras_went_on(spans)
    assert_calls_are_answered(device)


def test_idle_connections_of_grpc_leave_the_others_theirs(device: Device) -> None:
    def once() -> None:
        until(lambda: caller.post(PICTURE).code == "OK", "a call on an older connection is not answered")

    caller = HonestCaller(device.grpc_port)
    try:
        once()
        let_in = idle_connections(device.grpc_port, CONNECTIONS_MOST + 40, once)
    finally:
        caller.close()
    assert 0 < let_in < CONNECTIONS_MOST, let_in
    assert_calls_are_answered(device)


def test_limits_are_those_of_the_door() -> None:
    limits = {"connectionsMost": f"{CONNECTIONS_MOST}", "callsMost": f"{CALLS_MOST}", "window": f"{WINDOW >> 10} << 10"}
    for name, value in limits.items():
        assert re.search(rf"\t{name} += {value}( |$)", GO_LIMITS.read_text(), re.MULTILINE), name


@pytest.mark.parametrize("may_close", [True, False])
def test_the_report_sees_a_picture_that_gets_no_answer(may_close: bool) -> None:
    told = [Reply(200, True, 0.1), Reply(429, True, 0.1), Reply(0, True, 60.0)]
    assert only_fine("clients", told, may_close=may_close).holds == may_close
    assert not only_fine("clients", [*told, Reply(500, True, 0.1)], may_close=may_close).holds
    assert refusals(told) == 1


def span(captured: int, inferred: int) -> Span:
    frames = Frames(captured, inferred, captured - inferred, 0)
    return Span(10.0, {"one": Frames(10 * FPS, 10 * FPS, 0, 0), "two": frames}, 5 * FPS)


@pytest.mark.parametrize(
    ("captured", "inferred", "hold"),
    [
        pytest.param(10 * FPS, 10 * FPS, [True, True, True], id="all is well"),
        pytest.param(10 * FPS, 4 * FPS, [True, True, True], id="one that has its share of a slow machine"),
        pytest.param(0, 0, [True, False, False], id="a camera that stands still"),
        pytest.param(10 * FPS, 0, [True, True, False], id="a camera whose frames are always replaced"),
    ],
)
def test_the_report_sees_a_camera_that_loses_nothing_and_yet_fails(
    captured: int, inferred: int, hold: list[bool]
) -> None:
    seen = span(captured, inferred)
    assert [bar.holds for bar in cameras(seen, dict.fromkeys(ATTACKS, seen))] == hold

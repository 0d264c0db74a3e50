# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from visavis import ring_gen as wire
from visavis.detections import no_detections
from visavis.errors import (
    BadDetections,
    BadMessage,
    ViewLeaked,
)
from visavis.ring import TICK_S, Lease, RingClient
from visavis.ring_memory import Ring

from tests.unit.daemon_double import HEIGHT, INSTANCE, PAYLOAD, WIDTH, DaemonDouble, Memory, frame, ring_add
from tests.unit.ring_lab import ME, connected, descriptors, first_lease, mappings


def test_a_worker_borrows_a_frame_and_answers(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    memory.fill(0, 77)
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(5).pack())
        lease = first_lease(ring, stop)
        with lease as picture:
            assert picture.shape == (HEIGHT, WIDTH, 3)
            assert picture.size > 0
            assert (picture == 77).all()
        del picture
        found = no_detections(2)
        found["score"] = [0.9, 0.8]
        lease.answer(found)
        message, packet = daemon.next()
    assert isinstance(message, wire.Result)
    assert (message.lease_id, message.status, message.flags) == (5, wire.Status.OK, 0)
    assert message.received_ns <= message.infer_begin_ns <= message.infer_end_ns
    np.testing.assert_array_equal(wire.detections_of(packet), found)


@pytest.mark.parametrize("weight", [1, 3])
def test_a_picture_that_waited_for_a_worker_is_of_use_until_its_lease_ends(
    weight: int, daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        dispatched_ns, lease_ms = time.monotonic_ns(), weight * wire.LEASE_MS
        waited_ns = 5 * 10**9
        said = frame(1, captured_ns=dispatched_ns - waited_ns, dispatched_ns=dispatched_ns, lease_ms=lease_ms)
        daemon.send(said.pack())
        lease = first_lease(ring, stop)
    assert lease.captured_ns == dispatched_ns - waited_ns
    assert lease.limit_ns == dispatched_ns + lease_ms * 1_000_000


def test_hello_says_who_the_worker_is(daemon: DaemonDouble, stop: threading.Event) -> None:
    with connected(daemon, stop) as ring:
        assert daemon.peer
        assert daemon.hello is not None
        said = daemon.hello
        assert (said.name, said.model, said.credit, said.flags) == (ME.name, ME.model, ME.credit, ME.flags)
        assert ring.welcome.worker_id == 7


def test_a_frame_is_read_only(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        with first_lease(ring, stop) as picture, pytest.raises(ValueError, match="read-only"):
            picture[0, 0, 0] = 1


def test_rows_may_be_longer_than_the_picture_is_wide(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    row = WIDTH * 3
    start = wire.DATA_OFFSET
    memory.map[start : start + 4 * row] = bytes([1]) * row + bytes([9]) * row + bytes([2]) * row + bytes([9]) * row
    plane = wire.Plane(0, 4 * row, 2 * row, 2)
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1, height=2, planes=(plane,) + (wire.Plane(0, 0, 0, 0),) * 3).pack())
        with first_lease(ring, stop) as picture:
            assert picture[0].max() == picture[0].min() == 1
            assert picture[1].max() == picture[1].min() == 2


def test_a_slot_may_be_drawn_in_another_place_each_time(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    row = WIDTH * 3
    start = wire.DATA_OFFSET
    memory.map[start : start + 3 * row] = bytes([1]) * row + bytes([2]) * row + bytes([3]) * row
    unused = (wire.Plane(0, 0, 0, 0),) * 3
    with connected(daemon, stop, strict=True) as ring:
        daemon.add(ring_add(), memory)
        for lease_id, plane in enumerate([wire.Plane(0, row, row, 1), wire.Plane(row, row, row, 1)] * 2, 1):
            daemon.send(frame(lease_id, height=1, planes=(plane, *unused)).pack())
            lease = first_lease(ring, stop)
            with lease as picture:
                assert (picture == 1 + plane.offset // row).all()
                assert picture.shape == (1, WIDTH, 3)
            del picture
            lease.answer(no_detections())


def with_full(full: wire.Plane) -> bytes:
    """A lease of one row for the network, and of a full picture that lies where `full` says."""
    row = WIDTH * 3
    planes = (wire.Plane(0, row, row, 1), wire.Plane(0, 0, 0, 0), wire.Plane(0, 0, 0, 0), full)
    return frame(1, height=1, planes=planes, plane_count=4, flags=wire.FrameFlag.FULL_IN_P3).pack()


def test_a_slot_may_hold_the_full_picture_too(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    row, start = WIDTH * 3, wire.DATA_OFFSET
    memory.map[start : start + 3 * row] = bytes([1]) * row + bytes([7]) * row + bytes([8]) * row
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(with_full(wire.Plane(row, 2 * row, row, 2)))
        lease = first_lease(ring, stop)
        with lease as picture:
            full = lease.full()
            assert full is not None
            assert picture.shape == (1, WIDTH, 3)
            assert full.shape == (2, WIDTH, 3)
            assert (full[0] == 7).all()
            assert (full[1] == 8).all()
            assert not full.flags.writeable
            assert lease.leaked(), "a view of the full picture is a view of the frame"
            del picture, full
        assert not lease.leaked()
        daemon.send(frame(2).pack())
        assert first_lease(ring, stop).full() is None


@pytest.mark.parametrize(
    "full",
    [
        wire.Plane(0, 0, 0, 0),
        wire.Plane(PAYLOAD - WIDTH * 3, 2 * WIDTH * 3, WIDTH * 3, 2),
        wire.Plane(0, 2 * WIDTH * 3 + 1, WIDTH * 3, 2),
    ],
)
def test_a_full_picture_beyond_its_slot_ends_the_connection(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event, full: wire.Plane
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(with_full(full))
        with pytest.raises(BadMessage, match="full picture"):
            first_lease(ring, stop)


def test_a_picture_kept_from_an_earlier_place_is_seen(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    row = WIDTH * 3
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        lease = first_lease(ring, stop)
        with lease as kept:
            lease.answer(no_detections())
        plane = (wire.Plane(row, row, row, 1),) + (wire.Plane(0, 0, 0, 0),) * 3
        for lease_id in (2, 3):
            daemon.send(frame(lease_id, height=1, planes=plane).pack())
            lease = first_lease(ring, stop)
            with lease as picture:
                assert picture.shape == (1, WIDTH, 3)
            del picture
            lease.answer(no_detections())
            assert ring.leaks == lease_id
        del kept
        daemon.send(frame(4).pack())
        first_lease(ring, stop).skip(wire.Status.OK)
        assert ring.leaks == 3


@pytest.mark.parametrize(
    "keep", [lambda p: p, lambda p: p[:2, :2], lambda p: p[1:][1:], memoryview, lambda p: p.ctypes]
)
def test_a_view_that_outlives_its_lease_is_seen(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event, keep: object
) -> None:
    with connected(daemon, stop, strict=True) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        lease = first_lease(ring, stop)
        with lease as picture:
            kept = keep(picture)  # type: ignore[operator]
        del picture
        with pytest.raises(ViewLeaked, match="frame 1 of door"):
            lease.answer(no_detections())
        assert daemon.result().flags == wire.ResultFlag.VIEW_LEAKED
        del kept
        assert ring.leaks == 1


def test_a_copy_may_be_kept(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    with connected(daemon, stop, strict=True) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        lease = first_lease(ring, stop)
        with lease as picture:
            kept = picture.copy()
        del picture
        lease.answer(no_detections())
        assert kept.size
        assert ring.leaks == 0


def test_a_retired_ring_stays_mapped_until_its_last_view_is_gone(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    memory.fill(0, 3)
    before = mappings()
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        lease = first_lease(ring, stop)
        with lease as picture:
            pass
        lease.answer(no_detections())
        daemon.send(wire.RingRetire(ring_id=1, reason=wire.Retirement.REMOVED).pack())
        second = Memory(ring_add(2))
        daemon.add(ring_add(2), second)
        daemon.send(frame(2, ring_id=2).pack())
        later = first_lease(ring, stop)
        assert (picture == 3).all()
        assert list(ring.rings) == [2]
        del picture, lease
        later.skip(wire.Status.STALE)
    del later
    assert mappings() == before + 1  # the double's own mapping of `second`
    second.close()


def test_a_connection_leaves_no_descriptor_and_no_mapping(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    maps = mappings()
    with connected(daemon, stop) as ring:
        daemon.peer.fileno()
        before = descriptors()
        for ring_id in range(1, 20):
            daemon.add(ring_add(1), memory)
            daemon.send(wire.RingRetire(ring_id=1, reason=wire.Retirement.REPLACED).pack())
            daemon.add(ring_add(1), memory)
            daemon.send(frame(ring_id).pack())
            first_lease(ring, stop).skip(wire.Status.OK)
            daemon.result()
            daemon.send(wire.RingRetire(ring_id=1, reason=wire.Retirement.REPLACED).pack())
        daemon.add(ring_add(1), memory)
        daemon.send(frame(99).pack())
        first_lease(ring, stop).skip(wire.Status.OK)
        assert descriptors() <= before + 1
    assert mappings() == maps


def test_another_pixel_format_is_answered_as_bad_input(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1, fourcc=wire.Fourcc.NV12).pack())
        daemon.send(frame(2).pack())
        assert first_lease(ring, stop).lease_id == 2
        assert daemon.result().status == wire.Status.BAD_INPUT


def test_stopping_gives_up_credit_answers_what_was_under_way_and_closes(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        leases = ring.leases(stop)
        held = next(leases)
        stop.set()
        daemon.send(frame(2).pack())  # crosses CREDIT 0
        held.skip(wire.Status.OK)
        for lease in leases:
            lease.skip(wire.Status.OK)
        assert daemon.result().lease_id == 1
        credit, _ = daemon.next()
        assert credit == wire.Credit(credit=0)
        assert daemon.result().lease_id == 2
        assert ring.held == 0
    assert daemon.peer.recv(10) == b""


def test_all_that_was_under_way_is_answered_however_long_each_takes(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        stop.set()
        for lease_id in (1, 2, 3):
            daemon.send(frame(lease_id).pack())
        for lease in ring.leases(stop):
            time.sleep(1.5 * TICK_S)  # as slow models do
            lease.skip(wire.Status.OK)
        assert daemon.next()[0] == wire.Credit(credit=0)
        assert [daemon.result().lease_id for _ in range(3)] == [1, 2, 3]


def test_a_frame_of_the_last_moment_is_yielded_and_later_ones_cannot_be_sent(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        for (lease,) in ring.last():
            lease.skip(wire.Status.OK)
        with pytest.raises(BrokenPipeError):
            daemon.send(frame(2).pack())
        assert daemon.result().lease_id == 1


def test_who_has_stopped_may_ask_again(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        stop.set()
        for lease_id in (1, 2):
            daemon.send(frame(lease_id).pack())
            for lease in ring.leases(stop):
                lease.skip(wire.Status.OK)
        told = [daemon.next()[0] for _ in range(4)]
    assert [one.lease_id for one in told if isinstance(one, wire.Result)] == [1, 2]


def test_the_state_of_the_server_is_told_only_when_it_changes(daemon: DaemonDouble, stop: threading.Event) -> None:
    with connected(daemon, stop) as ring:
        for state in ((0, 0), (0, 0), (1, 7), (1, 7), (1, 8)):
            ring.tell_server_state(*state)
        ring.set_credit(2)
        told = [daemon.next()[0] for _ in range(4)]
    states = [wire.ServerState(losses, frames) for losses, frames in ((0, 0), (1, 7), (1, 8))]
    assert told == [*states, wire.Credit(credit=2)]


def test_a_daemon_that_does_not_know_the_state_of_servers_never_receives_it(
    tmp_path: Path, stop: threading.Event
) -> None:
    with DaemonDouble(tmp_path / "frames.sock", minor=0) as older, connected(older, stop) as ring:
        ring.tell_server_state(1, 7)
        ring.set_credit(2)
        assert older.next()[0] == wire.Credit(credit=2)


def batch_of(ring: RingClient, stop: threading.Event, most: int, window_ms: float = 0) -> list[Lease]:
    return next(ring.batches(stop, most, window_ms))


def test_frames_that_are_there_together_are_one_batch(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    second = Memory(ring_add(2))
    with closing(second), connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        daemon.add(ring_add(2), second)  # what is no frame neither ends nor joins a batch
        for lease_id in range(2, 6):
            daemon.send(frame(lease_id).pack())
        batches = ring.batches(stop, most=4)
        assert [lease.lease_id for lease in next(batches)] == [1, 2, 3, 4]
        assert [lease.lease_id for lease in next(batches)] == [5]


def test_a_frame_waits_for_others_no_longer_than_the_window(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        late = threading.Timer(0.05, lambda: daemon.send(frame(2).pack()))
        late.start()
        # A window that would fail the test as a hang if a full batch did not end it.
        assert [lease.lease_id for lease in batch_of(ring, stop, 2, window_ms=60_000)] == [1, 2]
        late.join()
        daemon.send(frame(3).pack())
        assert [lease.lease_id for lease in batch_of(ring, stop, 2, window_ms=1)] == [3]


def test_the_daemon_is_told_how_many_pictures_were_inferred_together(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        for lease_id in (1, 2):
            daemon.send(frame(lease_id).pack())
        for lease in batch_of(ring, stop, 2):
            lease.batch = 2
            lease.skip(wire.Status.OK)
        assert [daemon.result().batch for _ in range(2)] == [2, 2]


def test_more_detections_than_the_daemon_takes_are_cut_to_the_best(
    daemon: DaemonDouble, memory: Memory, stop: threading.Event
) -> None:
    found = no_detections(150)
    found["score"] = np.linspace(0, 1, 150, dtype=np.float32)
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        first_lease(ring, stop).answer(found)
        _, packet = daemon.next()
    sent = wire.detections_of(packet)
    assert len(sent) == 100
    assert sent["score"].min() > 0.33


def test_a_number_that_is_not_finite_is_not_sent(daemon: DaemonDouble, memory: Memory, stop: threading.Event) -> None:
    found = no_detections(1)
    found["landmarks"][0, 4, 1] = np.inf
    with connected(daemon, stop) as ring:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        lease = first_lease(ring, stop)
        with pytest.raises(BadDetections, match="landmarks"):
            lease.answer(found)
        lease.skip(wire.Status.FAILED)
        assert daemon.result().status == wire.Status.FAILED


def test_slots_that_nobody_uses_take_no_memory() -> None:
    said = ring_add(slots=64)
    memory = Memory(said)
    try:
        before = os.fstat(memory.fd).st_blocks
        mapped = Ring(memory.fd, said, INSTANCE)
        assert os.fstat(memory.fd).st_blocks == before
        assert mapped.unmap()
    finally:
        memory.close()

# SPDX-License-Identifier: Apache-2.0
"""What the worker's own Python costs a frame, beside the system calls of the same turn.

A turn is a lease borrowed, looked at and answered; the bare turn makes the same system calls with nothing around them.

Both ends of the socket live in one process and one thread, so nothing sleeps and nothing is woken.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Callable

from visavis import ring_gen as wire
from visavis.detections import no_detections
from visavis.ring import ANCILLARY_BYTES, RECEIVE_BYTES, RingClient

from tests.bench.page import Bar, Section
from tests.unit.daemon_double import INSTANCE, Memory, frame, ring_add

FRAMES, ROUNDS = 2_000, 9
MOST = 0.8  # of the bare turn
FRAME, RESULT = frame(1).pack(), bytes(wire.Result.SIZE)


def measure() -> Section:
    """The bar: median over rounds, the two kinds of turn interleaved."""
    daemon, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    memory = Memory(ring_add())
    with daemon, worker:
        client = RingClient(worker, welcome(), strict=True)
        socket.send_fds(daemon, [ring_add().pack()], [memory.fd])
        whole, bare = whole_turn(daemon, client), bare_turn(daemon, worker)
        share = statistics.median(turn_us(whole) / turn_us(bare) - 1 for _ in range(ROUNDS))
        client.close()
    memory.close()
    return Section("Bookkeeping", [], [Bar("worker's own Python a frame / its system calls", share, MOST)])


def welcome() -> wire.Welcome:
    """A WELCOME as the daemon sends it."""
    return wire.Welcome(
        major=wire.MAJOR,
        minor=wire.MINOR,
        worker_id=1,
        instance_id=INSTANCE,
        credit=1,
        max_detections=wire.MAX_DETECTIONS,
        lease_ms=wire.LEASE_MS,
        max_result_bytes=wire.MAX_RESULT_BYTES,
        now_ns=time.monotonic_ns(),
    )


def whole_turn(daemon: socket.socket, client: RingClient) -> Callable[[], None]:
    """One frame lent and answered by the worker's real code."""
    none = no_detections()
    leases = client.leases(threading.Event())

    def turn() -> None:
        daemon.send(FRAME)
        lease = next(leases)
        with lease as picture:
            assert picture.size > 0
        del picture
        lease.answer(none)
        daemon.recv(wire.Result.SIZE)

    return turn


def bare_turn(daemon: socket.socket, worker: socket.socket) -> Callable[[], None]:
    """The same system calls with nothing around them."""
    buffer = bytearray(RECEIVE_BYTES)

    def turn() -> None:
        daemon.send(FRAME)
        worker.recvmsg_into([buffer], ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        worker.send(RESULT)
        daemon.recv(wire.Result.SIZE)

    return turn


def turn_us(turn: Callable[[], None]) -> float:
    """Median microseconds of one turn."""
    took = []
    for _ in range(FRAMES):
        begin_ns = time.perf_counter_ns()
        turn()
        took.append(time.perf_counter_ns() - begin_ns)
    return statistics.median(took) / 1_000

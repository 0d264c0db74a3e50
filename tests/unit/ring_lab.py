# SPDX-License-Identifier: Apache-2.0
"""The worker's end of a ring beside a daemon's double, for the files that test it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis import ring_gen as wire
from visavis.ring import Identity, Lease, RingClient, connect

from tests.unit.daemon_double import DaemonDouble

ME = Identity("tester", "none@test", 2, flags=wire.HelloFlag.FP16)


@contextmanager
def connected(daemon: DaemonDouble, stop: threading.Event, *, strict: bool = False) -> Iterator[RingClient]:
    with connect(daemon.path, ME, stop, strict=strict) as ring:
        yield ring


def first_lease(ring: RingClient, stop: threading.Event) -> Lease:
    return next(ring.leases(stop))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("memfd:ring")

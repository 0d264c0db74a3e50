# SPDX-License-Identifier: Apache-2.0
"""Ports for programs of tests, which open them a while after they were chosen."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

# From here on the kernel gives ports to connections of any program, at any moment.
KERNELS = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
OURS = range(max(1_024, KERNELS - 12_000), KERNELS)

_turns = itertools.count(os.getpid())
_ours: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody uses, that the kernel gives to nobody, and that no run on this machine has had yet."""
    return next(port for turn in _turns if is_free(port := OURS[turn % len(OURS)]) and claim(port))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def claim(port: int) -> bool:
    """Whether no other run has it: a name for a socket belongs to one process, and is free again when that ends."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0visavis-test-port-{port}")
    except OSError:
        name.close()
        return False
    _ours.append(name)
    return True

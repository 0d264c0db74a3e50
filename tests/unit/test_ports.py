# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
from pathlib import Path

from tests.ports import free_port, is_free


def test_ports_lie_below_those_of_the_kernel_and_none_comes_twice() -> None:
    ports = [free_port() for _ in range(100)]
    lowest, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(ports) < int(lowest)
    assert len(set(ports)) == len(ports)


def test_a_port_that_a_program_has_is_not_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)

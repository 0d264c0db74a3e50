# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.ports import claim, free_port, is_free

ANOTHER_RUN = "import sys; from tests.ports import claim; sys.exit(not claim(int(sys.argv[1])))"


def test_ports_lie_below_those_of_the_kernel_and_none_comes_twice() -> None:
    ports = [free_port() for _ in range(100)]
    lowest, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    assert max(ports) < int(lowest)
    assert len(set(ports)) == len(ports)


def test_a_port_that_a_program_has_is_not_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


def test_a_port_belongs_to_one_run_before_anybody_opens_it() -> None:
    mine, nobodys = free_port(), 65_536 + os.getpid()  # runs beside this one have the ports next to ours
    assert not claim(mine)
    assert not another_run_may_claim(mine)
    assert another_run_may_claim(nobodys)
    assert another_run_may_claim(nobodys), "a run that has ended holds a port"


def another_run_may_claim(port: int) -> bool:
    return subprocess.run([sys.executable, "-c", ANOTHER_RUN, str(port)], check=False).returncode == 0

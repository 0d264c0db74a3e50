# SPDX-License-Identifier: Apache-2.0
"""A port that is chosen for a daemon is still free when it comes to listen there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import HANG_S

# In a network of its own, whose kernel has eight ports to give.
OTHERS = """
import contextlib, pathlib, socket, subprocess
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40007")

from visavis.loopback import reserved_port

port = reserved_port()
with contextlib.ExitStack() as others:
    held = []
    with contextlib.suppress(OSError):
        while True:
            held.append(others.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1])
print(sorted([*held, port]) == list(range(40000, 40008)))
socket.create_server(("127.0.0.1", port))
"""


def test_a_port_that_is_reserved_goes_to_whoever_names_it(tmp_path: Path) -> None:
    command = ["unshare", "-n" if os.geteuid() == 0 else "-rn", sys.executable, "-c", OTHERS]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert (answer.returncode, answer.stdout) == (0, "True\n"), answer.stderr

# SPDX-License-Identifier: Apache-2.0
"""A client and a viewer inside a machine, each of them curl, while something goes on there that neither may notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.vm.inside import retry
from tests.vm.lab import Machine
from tests.waiting import HANG_S

# So many must have come before it begins, and so many more once it is over.
FIRST, MORE = 3, 20
LIMIT_S = 600


@contextmanager
def posting(machine: Machine, curl: str, otherwise: str = "true") -> Iterator[None]:
    """A client that posts one picture after the other: each is answered with 200.

    `curl` is the request; what the command `otherwise` says is told of a failure.
    """
    post = f"{curl} -m 600 -s -o /tmp/answer -w '%{{http_code}}\\n'"
    keep = "[ $(tail -n 1 /tmp/client.log) = 200 ] || { date +%T.%N; cat /tmp/answer; } >>/tmp/refused"
    machine.run(f"rm -f /tmp/refused; cat >/tmp/client <<'EOF'\nwhile :; do {post}; {keep}; done\nEOF")
    machine.start("client", "sh /tmp/client")
    try:
        go_on(machine, "client", FIRST)
        yield
        go_on(machine, "client", MORE)
    finally:
        machine.signal("client", "TERM")
    told = machine.run("cat /tmp/client.log").split()
    assert set(told) == {"200"}, machine.run(f"cat /tmp/refused; {otherwise}; echo {' '.join(told)}")


@contextmanager
def watching(machine: Machine, curl: str, measured: Callable[[str], None]) -> Iterator[None]:
    """A viewer whose one connection brings pictures all the time; `curl` asks for the MJPEG stream of a camera."""
    at = "while read -r _; do date +%s.%N; done"
    script = f"{curl} -sfN | LC_ALL=C grep -a --line-buffered ^Content-Type: | {at}"
    machine.run(f"cat >/tmp/viewer <<'EOF'\n{script}\nEOF")
    machine.start("viewer", "sh /tmp/viewer")
    try:
        go_on(machine, "viewer", FIRST)
        yield
        go_on(machine, "viewer", MORE)
    finally:
        # It is gone if its connection has ended: nobody opens a second one.
        ended = machine.try_to_run("kill -- -$(cat /tmp/viewer.pid)")
    assert ended.returncode == 0, "the viewer's connection was closed"
    times_s = [float(line) for line in machine.run("cat /tmp/viewer.log").split()]
    gap_s = max(later - earlier for earlier, later in pairwise(times_s))
    measured(f"{len(times_s)} pictures by one connection, {gap_s:.1f} s between two at most")
    assert gap_s < HANG_S


def go_on(machine: Machine, name: str, lines: int) -> None:
    """Wait until the client or the viewer has got so many more, or has ended."""
    log, pid = f"/tmp/{name}.log", f"/tmp/{name}.pid"  # noqa: S108 (inside)
    enough = f"[ $(wc -l <{log}) -ge $((before + {lines})) ] || ! kill -0 $(cat {pid}) 2>/dev/null"
    machine.run(f"before=$(wc -l <{log}); {retry(enough, LIMIT_S, f'tail -n 5 {log}')}", LIMIT_S + 60)

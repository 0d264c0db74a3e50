# SPDX-License-Identifier: Apache-2.0
"""Servers as they are measured: warm, idle."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.gateway.load import closed
from tests.bench.gateway.servers import Kind, Server
from tests.waiting import until

QUIET_S, QUIET_SHARE, LIMIT_S = 0.1, 0.2, 60.0


@contextmanager
def side_by_side(kinds: Mapping[str, Kind], picture: Path) -> Iterator[dict[str, Server]]:
    """All of them run, and are warm, while the block lasts."""
    with ExitStack() as running:
        servers = {name: running.enter_context(Server(kind)) for name, kind in kinds.items()}
        for server in servers.values():
            warm_up(server, picture)
        yield servers


def warm_up(server: Server, picture: Path) -> None:
    """Both workers have seen pictures: what is slow only once is over."""
    wait_until_idle(server, picture)
    closed(server.url(server.kind.detect), picture, 4, 1.0, 5.0)


def wait_until_idle(server: Server, picture: Path) -> None:
    """A picture is answered, and with it what has waited before: servers go on for clients that have gone."""
    until(lambda: answers_pictures(server, picture), f"{server.kind.name} answers no picture", LIMIT_S)


def answers_pictures(server: Server, picture: Path) -> bool:
    """Whether a picture is answered; a refusal while workers start is none."""
    try:
        return server.faces(picture.read_bytes()) != []
    except OSError:
        return False


def wait_until_quiet(server: Server) -> None:
    """It takes no processor from who has the next turn."""
    until(lambda: is_quiet(server), f"{server.kind.name} goes on though nobody asks", LIMIT_S)


def is_quiet(server: Server) -> bool:
    before_s = server.cpu_s()
    time.sleep(QUIET_S)
    return server.cpu_s() - before_s <= QUIET_SHARE * QUIET_S

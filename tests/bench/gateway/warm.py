# SPDX-License-Identifier: Apache-2.0
"""Waiting until a server can be measured."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.gateway.load import closed
from tests.bench.gateway.servers import Server
from tests.waiting import until

QUIET_S, QUIET_SHARE, LIMIT_S = 0.1, 0.2, 60.0


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

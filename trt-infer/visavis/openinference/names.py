# SPDX-License-Identifier: Apache-2.0
"""What a server's name stands for: looked up in time, tried first where it answered and last where it failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from visavis.threads import start

if TYPE_CHECKING:
    from visavis.openinference.endpoint import Deadline

# As getaddrinfo gives it: family, kind, protocol, a name, and what is connected to.
Address = tuple[Any, ...]
# How long a wait for the resolver goes on when its deadline is withdrawn.
STEP_S = 0.05


class Names:
    """What one server's name stands for, over all its openings.

    The resolver knows no deadline, so each lookup has a thread of its own. What one finds too late is there for the
    next opening: with a first name server that is dead, each takes as long.
    """

    def __init__(self) -> None:
        self._lookup: _Lookup | None = None
        self._answered: Address | None = None
        # In the order of their failures.
        self._failed: list[Address] = []

    def found(self, host: str, port: int, deadline: Deadline) -> list[Address]:
        """The addresses of a host.

        Raises:
            OSError: it has none, or no thread is free to ask.
            TimeoutError: nobody has said so yet.
        """
        if self._lookup is None or self._lookup.error is not None:
            self._lookup = _Lookup(host, port)
        lookup = self._lookup
        while lookup.is_alive() and not deadline.passed:
            lookup.join(STEP_S)
        if lookup.is_alive():
            raise TimeoutError(0, "nobody answers for names in time")
        if lookup.error is not None:
            raise lookup.error
        self._lookup = None
        return lookup.addresses

    def best_first(self, addresses: Sequence[Address]) -> list[Address]:
        """The address that answered last, then the others, and at the end what failed, the latest failure last."""
        self._failed = [address for address in self._failed if address in addresses]
        return sorted(addresses, key=self._rank)

    def answered(self, address: Address) -> None:
        """Remember that the server at an address gives good answers."""
        self._answered = address
        self._forget(address)

    def failed(self, address: Address) -> None:
        """Remember that it does not, though it may take connections."""
        if address == self._answered:
            self._answered = None
        self._forget(address)
        self._failed.append(address)

    def _forget(self, address: Address) -> None:
        self._failed = [other for other in self._failed if other != address]

    def _rank(self, address: Address) -> int:
        if address == self._answered:
            return -1
        return self._failed.index(address) + 1 if address in self._failed else 0


class _Lookup(threading.Thread):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="look-up", daemon=True)
        self._host, self._port = host, port
        self.addresses: list[Address] = []
        self.error: OSError | None = None
        start(self)

    def run(self) -> None:
        try:
            self.addresses = list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except OSError as error:
            self.error = error

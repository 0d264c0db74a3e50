# SPDX-License-Identifier: Apache-2.0
"""Runs an appliance in a network of its own and says which addresses other than this machine's it asked for.

To be started by `unshare --net`. The only way out is the loopback device, on which every packet can be seen. What is
asked of a name server counts too. Arguments: the configuration, the address of its page, how many events to wait for.
"""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from typing import Any

from tests.waiting import HANG_S, until

OURS = {"192.0.2.2", "2001:db8::2"}
ELSEWHERE = ("198.51.100.1", 9)
WAYS = """\
ip link set lo up
ip addr add 192.0.2.2/32 dev lo
ip addr add 2001:db8::2/128 dev lo
ip route add default dev lo src 192.0.2.2
ip -6 route add default dev lo
"""
EVERY_PROTOCOL, IPV4 = 3, 0x0800
NAME_SERVICE = 53


class Trap:
    """Keeps where packets want to go."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERY_PROTOCOL))
        self._socket.bind(("lo", 0))
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            packet, sender = self._socket.recvfrom(128)
            address, rest = goal(packet, sender[1])
            port = int.from_bytes(rest[2:4], "big")
            if port == NAME_SERVICE or not (address.is_loopback or str(address) in OURS):
                self.found.add(str(address))


def goal(packet: bytes, protocol: int) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, bytes]:
    """The address, and what follows the header."""
    if protocol == IPV4:
        return ipaddress.IPv4Address(packet[16:20]), packet[(packet[0] & 15) * 4 :]
    return ipaddress.IPv6Address(packet[24:40]), packet[40:]


def events(page: str) -> list[dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{page}/api/v1/events", timeout=HANG_S) as answer:  # noqa: S310 - it begins with http
            found: list[dict[str, Any]] = json.loads(answer.read())["events"]
            return found
    except (urllib.error.URLError, OSError):
        return []


def main(config: str, page: str, count: int) -> None:
    subprocess.run(["sh", "-ec", WAYS], check=True)
    trap = Trap()
    command = [sys.executable, "-m", "visavis.cli", "run", "--config", config]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: len(events(page)) >= count, "no events", 100)
        finally:  # or it would be waited for, which nobody has told to end
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        assert code == 0
    meanwhile = sorted(trap.found)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"does the trap work?", ELSEWHERE)
    until(lambda: ELSEWHERE[0] in trap.found, "the trap sees nothing")
    print(json.dumps(meanwhile))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

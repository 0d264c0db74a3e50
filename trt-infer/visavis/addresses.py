# SPDX-License-Identifier: Apache-2.0
"""Addresses of machines as people write them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult

# Where a broker listens whose URL of this scheme names no port.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
# What urllib raises for letters outside ASCII, a host that is no name, and a port beyond all bounds.
BAD_ADDRESS = (ValueError, OverflowError)


def in_brackets(host: str) -> str:
    """An IPv6 address as it stands before a port; any other host, and one that has its brackets, as it is."""
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        return host


def host_of(url: SplitResult) -> str:
    """The host of a URL as resolvers take it, "" without one: what URLs write as [fe80::1%25eth0] is fe80::1%eth0."""
    host = url.hostname or ""
    return host.replace("%25", "%", 1) if ":" in host else host

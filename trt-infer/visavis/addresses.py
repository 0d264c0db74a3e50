# SPDX-License-Identifier: Apache-2.0
"""Addresses of machines as people write them."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

# Where a broker listens whose URL of this scheme names no port.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
# What stands in a path as it is (RFC 3986, section 3.3), and what is encoded already.
OF_PATHS = "/%:@!$&'()*+,;="
# What urllib raises for a host that is no name, and a port beyond all bounds.
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


def in_ascii(address: str) -> str:
    """A URL as it travels, of what a browser shows as http://küche.example/Tür.jpg.

    Raises:
        ValueError: the host is no name.
    """
    url = urlsplit(address)
    host, colon, port = ("", "", "") if url.netloc.isascii() else url.netloc.partition(":")
    place = f"{host.encode('idna').decode()}{colon}{port}" if host else url.netloc
    path, query = (quote(part, f"{OF_PATHS}?", errors="surrogateescape") for part in (url.path, url.query))
    return url._replace(netloc=place, path=path, query=query, fragment="").geturl()

# SPDX-License-Identifier: Apache-2.0
"""Addresses of machines as people write them."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

# Where a broker listens whose URL of this scheme names no port.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
# What stands in a path as it is (RFC 3986, section 3.3), and what is encoded already.
OF_PATHS = "/%:@!$&'()*+,;="
# What stands before the @.
OF_LOGINS = OF_PATHS.replace("/", "").replace("@", "")
LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# In IDNA 2003, which is all that Python has, they are other letters or none; browsers ask for another host.
AMBIGUOUS = {"\u00df", "\u1e9e", "\u03c2", "\u200c", "\u200d"}
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
        ValueError: the host is no name, or the port no number.
    """
    url = urlsplit(address)
    place = url.netloc if url.netloc.isascii() else _place(url.netloc)
    path, query = (_quoted(part, f"{OF_PATHS}?") for part in (url.path, url.query))
    return url._replace(netloc=place, path=path, query=query, fragment="").geturl()


def name_in_ascii(host: str) -> str:
    """A host's name as resolvers are asked for it.

    Raises:
        ValueError: it is none, or one that stands for two.
    """
    if AMBIGUOUS.intersection(host):
        raise ValueError(f"{host} stands for different hosts in old and new programs, write the host as xn--...")
    return host.encode("idna").decode()


def _place(netloc: str) -> str:
    login, at, rest = netloc.rpartition("@")
    host, colon, port = rest.partition(":")
    if not port.isascii():
        raise ValueError(f"the port {port} is no number, write it in the digits 0 to 9")
    return f"{_quoted(login, OF_LOGINS)}{at}{host if host.isascii() else name_in_ascii(host)}{colon}{port}"


def _quoted(part: str, safe: str) -> str:
    return quote(LONE_PERCENT.sub("%25", part), safe, errors="surrogateescape")

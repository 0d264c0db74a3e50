# SPDX-License-Identifier: Apache-2.0
"""The zone of a link-local address: %25 in a URL, % for who connects."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from visavis.addresses import host_of, in_ascii
from visavis.client import broker_at
from visavis.doctor import reached
from visavis.greeting import subscribe_command
from visavis.openinference.endpoint import ServerUnfit, endpoint


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("mqtt://[fe80::1%25eth0]:1883", "fe80::1%eth0"),
        ("mqtt://[fe80::1%eth0]:1883", "fe80::1%eth0"),
        ("mqtt://[fe80::1%25Eth0.25]/", "fe80::1%Eth0.25"),
        ("mqtt://[2001:db8::25]", "2001:db8::25"),
        ("mqtt://Box", "box"),
        ("mqtt://", ""),
    ],
)
def test_a_host_is_as_the_resolver_takes_it(url: str, host: str) -> None:
    assert host_of(urlsplit(url)) == host


def test_all_that_connect_know_the_zone_of_an_address() -> None:
    at = "[fe80::1%25eth0]"
    assert broker_at(f"mqtt://{at}").host == "fe80::1%eth0"
    assert endpoint(f"http://{at}:8000", "m").host == "fe80::1%eth0"
    assert subscribe_command(f"mqtt://{at}", "t") == "mosquitto_sub -h fe80::1%eth0 -p 1883 -t 't'"


@pytest.fixture
def link_local() -> Iterator[str]:
    """Where something listens at this machine's own link-local address."""
    known = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    found = [(str(IPv6Address(bytes.fromhex(one[0]))), one[5]) for one in known if one[0].startswith("fe80")]
    if not found:
        pytest.skip("no interface has a link-local address here")
    address, interface = found[0]
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind((address, 0, 0, socket.if_nametoindex(interface)))
        listener.listen()
        yield f"[{address}%25{interface}]:{listener.getsockname()[1]}"


def test_doctor_finds_a_broker_at_a_link_local_address(link_local: str) -> None:
    assert reached("mqtt", f"mqtt://{link_local}").state == "ok"


@pytest.mark.parametrize(
    ("shown", "travels"),
    [
        ("http://k\u00fcche.example:80/T\u00fcr.jpg", "http://xn--kche-0ra.example:80/T%C3%BCr.jpg"),
        ("https://box/a%20b c.jpg?x=%C3%BC&y=\u00fc#part", "https://box/a%20b%20c.jpg?x=%C3%BC&y=%C3%BC"),
        ("http://[::1]:8080/a,b;c=(d)?e/f?g", "http://[::1]:8080/a,b;c=(d)?e/f?g"),
        ("http://box/caf\udce9.jpg", "http://box/caf%E9.jpg"),  # a byte of the command line that is no UTF-8
        ("http://box/50%/100%25?a=5%g", "http://box/50%25/100%25?a=5%25g"),
        ("http://j\u00f6rg:p%20\u00fc@k\u00fcche:80/", "http://j%C3%B6rg:p%20%C3%BC@xn--kche-0ra:80/"),
        ("http://j\u00f6rg@Box/", "http://j%C3%B6rg@Box/"),
    ],
)
def test_an_address_travels_in_ascii(shown: str, travels: str) -> None:
    assert in_ascii(shown) == travels
    assert in_ascii(travels) == travels


@pytest.mark.parametrize("letter", ["\u00df", "\u1e9e", "\u03c2", "\u200c", "\u200d"])
def test_a_host_that_browsers_take_for_another_is_refused(letter: str) -> None:
    with pytest.raises(ValueError, match="write the host as xn--"):
        in_ascii(f"http://stra{letter}e.de/")
    with pytest.raises(ServerUnfit, match="write the host as xn--"):
        endpoint(f"http://stra{letter}e.de/", "m")


def test_a_port_in_other_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="the port \u0668\u0660 is no number, write it"):
        in_ascii("http://box:\u0668\u0660/")

# SPDX-License-Identifier: Apache-2.0
"""Whether a device can be reached, from what the kernel says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from visavis.update import network
from visavis.update.boot import __main__ as boot
from visavis.update.system import System

HEAD = "Iface\tDestination\tGateway\tFlags\n"
LAN = HEAD + "eth0\t000200C0\t00000000\t0001\n"
ONLY_A_CABLE = HEAD + "eth0\t0000FEA9\t00000000\t0001\n"
V6_LO = "00000000000000000000000000000001 01 80 10 80       lo\n"
V6_LINK = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"
V6_HOME = "fd000000000000000000000000000002 04 40 00 82     eth0\n"


@pytest.mark.parametrize(
    ("routes", "addresses", "has"),
    [
        (LAN, None, True),
        (HEAD, V6_LO + V6_LINK + V6_HOME, True),
        (HEAD, V6_LO + V6_LINK, False),
        (ONLY_A_CABLE, None, False),
        (None, None, False),
    ],
)
def test_a_network_is_an_address_that_is_good_beyond_the_cable(
    routes: str | None, addresses: str | None, has: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("ROUTES", routes), ("ADDRESSES", addresses)):
        monkeypatch.setattr(network, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    assert network.has_network() == has


class Loader:
    """Takes what it is told."""

    def set_primary(self, _: str) -> None: ...

    def set_good(self, _: str) -> None: ...


@pytest.mark.parametrize(("words", "noted"), [(["set-primary", "B"], True), (["set-state", "B", "good"], False)])
def test_whoever_chooses_the_next_system_notes_that_there_is_a_network(
    words: list[str], noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routes").write_text(LAN)
    monkeypatch.setattr(network, "NOTE", tmp_path / "rauc" / "note")
    monkeypatch.setattr(network, "ROUTES", tmp_path / "routes")
    monkeypatch.setattr(boot, "read_system", lambda: System("visavis-rpi5", "1.0"))
    monkeypatch.setattr(boot, "loader_of", lambda _: Loader())
    monkeypatch.setattr(sys, "argv", ["boot-backend", *words])
    assert boot.main() == 0
    assert network.NOTE.exists() == noted
    assert not network.is_lost()
    (tmp_path / "routes").write_text(HEAD)
    monkeypatch.setattr(network, "ADDRESSES", tmp_path / "none")
    assert network.is_lost() == noted


def test_a_note_that_cannot_be_written_keeps_no_device_from_its_other_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(network, "NOTE", tmp_path / "file" / "note")
    boot.note_network()
    assert "warning: whether this device has a network is not noted" in capsys.readouterr().err

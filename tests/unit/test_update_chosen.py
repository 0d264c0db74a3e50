# SPDX-License-Identifier: Apache-2.0
"""What is left for the gate of the system that was chosen, and what the kernel says of the chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from visavis.update import chosen
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
        monkeypatch.setattr(chosen, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    assert chosen.has_network() == has


class Loader:
    """Takes what it is told; slot A has proved itself."""

    def set_primary(self, _: str) -> None: ...

    def set_good(self, _: str) -> None: ...

    def on_trial(self, slot: str) -> bool:
        return slot == "B"


def ask(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """What RAUC does."""
    monkeypatch.setattr(boot, "read_system", lambda: System("visavis-rpi5", "1.0"))
    monkeypatch.setattr(boot, "loader_of", lambda _: Loader())
    monkeypatch.setattr(sys, "argv", ["boot-backend", *words])
    return boot.main()


def test_whoever_chooses_the_next_system_notes_which_and_that_there_is_a_network_until_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "routes").write_text(LAN)
    for name in ("NOTE", "ROUTES", "ADDRESSES"):
        monkeypatch.setattr(chosen, name, tmp_path / name.lower())
    assert ask(monkeypatch, "set-primary", "B") == 0
    assert (chosen.is_chosen("B"), chosen.is_chosen("A"), chosen.network_is_lost()) == (True, False, False)
    (tmp_path / "routes").write_text(HEAD)
    assert chosen.network_is_lost()
    assert ask(monkeypatch, "set-state", "A", "good") == 0  # it has not been started yet
    assert chosen.is_chosen("B")
    for _ in range(2):  # at each start anew
        assert ask(monkeypatch, "set-state", "B", "good") == 0
        assert (chosen.is_chosen("B"), chosen.network_is_lost()) == (False, False)
    assert ask(monkeypatch, "set-primary", "B") == 0
    assert chosen.is_chosen("B")
    assert not chosen.network_is_lost(), "it had none"
    assert ask(monkeypatch, "set-primary", "A") == 0
    assert (chosen.is_chosen("A"), chosen.is_chosen("B")) == (False, False), "A has proved itself"


def test_a_note_that_cannot_be_written_keeps_no_device_from_its_other_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(chosen, "NOTE", tmp_path / "file" / "note")
    assert ask(monkeypatch, "set-primary", "B") == 0
    assert "warning: the next system's gate does not learn what was chosen" in capsys.readouterr().err

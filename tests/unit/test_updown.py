# SPDX-License-Identifier: Apache-2.0
"""What comes and goes all the time has a line an hour; what was well for a while is news."""

from __future__ import annotations

import pytest
from visavis.updown import HELD_S, PAUSE_S, REASONS_MOST, Teller


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [1000.0]
    monkeypatch.setattr("visavis.updown.time.monotonic", lambda: now_s[0])
    return now_s


def test_what_flaps_is_told_once_an_hour(clock: list[float]) -> None:
    teller, told = Teller(), 0
    for _ in range(2 * int(PAUSE_S) // 10):
        told += teller.lost("it hangs up") + teller.back()
        clock[0] += 10
    assert told == 4, "twice that it goes, and that it comes"
    assert teller.taken() == 2 * int(PAUSE_S) // 10 - 2
    assert teller.taken() == 0


def test_what_was_well_for_a_while_is_news(clock: list[float]) -> None:
    teller = Teller()
    for _ in range(3):
        assert teller.lost("cable")
        assert not teller.lost("cable")
        assert teller.back()
        assert not teller.back()
        clock[0] += HELD_S


def test_each_reason_is_told_but_not_those_of_one_that_never_says_the_same_twice(clock: list[float]) -> None:
    teller = Teller()
    assert sum(teller.lost(f"port {number}") for number in range(100)) == REASONS_MOST

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from visavis import keeper
from visavis.keeper import MANY_ENDS, Keeper

from tests.waiting import until


@contextmanager
def kept(*command: str) -> Iterator[Keeper]:
    """Something that is kept alive while the block runs."""
    kept = Keeper("the thing", lambda: subprocess.Popen(command, stdin=subprocess.PIPE), "mend it")
    try:
        yield kept
    finally:
        kept.stop()
        kept.end(5)


def test_what_ends_again_and_again_is_told_once_with_the_remedy(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RESTART_FIRST_MS", 1)
    monkeypatch.setattr(keeper, "RESTART_MOST_MS", 60_000)  # each of them ends sooner, however busy the machine is
    with kept("false"):
        until(lambda: caplog.text.count("ended with 1") > MANY_ENDS + 2, "it was not started again")
    said = [record for record in caplog.records if "mend it" in record.message]
    assert [record.levelname for record in said] == ["ERROR"]
    assert f"the thing ended {MANY_ENDS} times in a row" in said[0].message


def test_what_ended_after_a_while_ended_for_the_first_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RESTART_MOST_MS", 0)  # each of them lasts longer
    with kept("false"):
        until(lambda: caplog.text.count("ended with 1") > MANY_ENDS + 2, "it was not started again")
    assert "mend it" not in caplog.text

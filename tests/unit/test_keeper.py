# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from visavis import keeper
from visavis.keeper import MANY_ENDS, Keeper, NotKept
from visavis.watchdog import Limits, Watchdog

from tests.waiting import HANG_S, until


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


@pytest.mark.parametrize("threads", [0, 1])
def test_what_nobody_can_watch_over_does_not_run(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a service has as many tasks as it may."""
    really, left = threading.Thread.start, [threads]
    made: list[subprocess.Popen[bytes]] = []

    def start(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        really(thread)

    def sleeper() -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen(["sleep", "600"], stdin=subprocess.PIPE))
        return made[-1]

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(NotKept, match=r"the thing cannot be watched over, no more threads .*: let this user"):
        Keeper("the thing", sleeper, "mend it", watchdog=Watchdog(tmp_path / "life", Limits()))
    assert all(process.wait(HANG_S) for process in made)
    assert not [thread for thread in threading.enumerate() if "the thing" in thread.name]


def test_what_ended_after_a_while_ended_for_the_first_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RESTART_MOST_MS", 0)  # each of them lasts longer
    with kept("false"):
        until(lambda: caplog.text.count("ended with 1") > MANY_ENDS + 2, "it was not started again")
    assert "mend it" not in caplog.text

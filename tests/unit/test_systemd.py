# SPDX-License-Identifier: Apache-2.0
"""What a worker says to systemd, heard on a socket as systemd hears it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns
from types import ModuleType

import pytest
from visavis import systemd

from tests.waiting import HANG_S


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(HANG_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield line


class Library:
    """Stands in for python3-systemd, which is Debian's package for Debian's Python, and keeps what it is given."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.journal: list[dict[str, str]] = []

    def notify(self, notice: str) -> bool:
        self.notices.append(notice)
        return True

    def handler(self, **fields: str) -> logging.Handler:
        library = self

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                library.journal.append({"MESSAGE": self.format(record), **fields})

        return Handler()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    one = Library()
    daemon, journal = ModuleType("systemd.daemon"), ModuleType("systemd.journal")
    vars(daemon)["notify"], vars(journal)["JournalHandler"] = one.notify, one.handler
    for module in (ModuleType("systemd"), daemon, journal):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    systemd._sd_notify.cache_clear()
    yield one
    systemd._sd_notify.cache_clear()


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where it is not installed, whatever this machine has."""
    for name in ("systemd", "systemd.daemon", "systemd.journal"):
        monkeypatch.setitem(sys.modules, name, None)
    systemd._sd_notify.cache_clear()
    yield
    systemd._sd_notify.cache_clear()


def says(handler: logging.Handler) -> None:
    """Log one line with it."""
    handler.handle(
        logging.makeLogRecord({"levelname": "WARNING", "levelno": logging.WARNING, "msg": "a lens is dirty"})
    )


def test_what_may_wait_is_told_by_the_library_where_it_is_installed(ear: socket.socket, library: Library) -> None:
    assert systemd.tell(systemd.READY, f"{systemd.STATUS}warm")
    assert systemd.tell(systemd.ALIVE, waits=False)
    assert library.notices == ["READY=1\nSTATUS=warm"]
    assert ear.recv(100) == b"WATCHDOG=1"


@pytest.mark.usefixtures("no_library")
def test_what_is_told_arrives_without_the_library(ear: socket.socket) -> None:
    assert systemd.tell(systemd.READY, f"{systemd.STATUS}warm")
    assert ear.recv(100) == b"READY=1\nSTATUS=warm"


def test_the_journal_gets_the_workers_name_as_a_field(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    says(systemd.log_handler("worker-1"))
    fields = {"SYSLOG_IDENTIFIER": "visavis", "VISAVIS_WORKER": "worker-1"}
    assert library.journal == [{"MESSAGE": "a lens is dirty", **fields}]


@pytest.mark.usefixtures("no_library")
def test_the_journal_gets_plain_lines_without_the_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    says(systemd.log_handler("worker-1"))
    assert capsys.readouterr().err == "WARNING a lens is dirty\n"


def test_outside_the_journal_lines_are_plain_although_there_is_the_library(
    monkeypatch: pytest.MonkeyPatch, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    says(systemd.log_handler("worker-1"))
    assert (capsys.readouterr().err, library.journal) == ("WARNING a lens is dirty\n", [])


def test_what_is_told_arrives_as_one_notice(ear: socket.socket) -> None:
    assert systemd.tell(systemd.READY, f"{systemd.STATUS}warm")
    assert ear.recv(100) == b"READY=1\nSTATUS=warm"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"visavis-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0{name}")
        line.settimeout(HANG_S)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert systemd.tell(systemd.ALIVE)
        assert line.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "nonsense"])
def test_where_nobody_is_to_listen_nothing_is_told(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.tell(systemd.READY)
    assert not caplog.text


def test_a_listener_that_has_gone_is_not_taken_for_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
    assert not systemd.tell(systemd.STOPPING)
    assert "nobody listens at NOTIFY_SOCKET" in caplog.messages[0]
    assert "systemd" not in caplog.messages[0]


def hears_twice(ear: socket.socket, message: bytes) -> None:
    """And nothing else."""
    ear.settimeout(0)
    assert [ear.recv(100), ear.recv(100)] == [message] * 2
    with pytest.raises(BlockingIOError):
        ear.recv(100)


def test_the_watchdog_hears_us_twice_in_what_it_allows(ear: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(systemd, "monotonic", lambda: now_s[0])
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    life = systemd.SignOfLife()
    for now_s[0] in (114.9, 115.0, 129.9, 130.1):
        life.give()
    hears_twice(ear, b"WATCHDOG=1")


def test_who_is_given_more_time_than_the_watchdog_gives_is_heard_until_it_is_done(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may be slow: the daemon waits for it as long as it was told to."""
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    life = systemd.SignOfLife()
    life.excuse(monotonic_ns() + 10**15)
    ear.settimeout(HANG_S)
    for _ in range(3):
        assert ear.recv(100) == b"WATCHDOG=1"
    monkeypatch.setattr(systemd, "monotonic", lambda: 0.0)  # no sign is due of what follows
    life.give()
    life.excuse(monotonic_ns() + 1)  # so soon that nothing need be said
    ear.setblocking(False)
    with suppress(BlockingIOError):  # what has come meanwhile
        while True:
            ear.recv(100)
    ear.settimeout(1)
    heard = 0
    with suppress(TimeoutError):
        while heard < 2:
            heard += len(ear.recv(100)) > 0
    assert heard < 2, "one was on its way; this does not end"


def test_a_listener_that_stands_still_holds_nobody_up(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(systemd, "monotonic", lambda: now_s[0])
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2
    life = systemd.SignOfLife()
    for now_s[0] in range(1, most + 1):
        life.give()
    assert ear.recv(100) == b"WATCHDOG=1"
    assert not caplog.text


def test_a_start_that_goes_on_asks_for_more_time_now_and_then(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [3.0]  # soon after the machine's own start
    monkeypatch.setattr(systemd, "monotonic", lambda: now_s[0])
    start = systemd.LongStart()
    for now_s[0] in (3.0, 12.9, 13.0, 13.1):
        start.goes_on()
    hears_twice(ear, b"EXTEND_TIMEOUT_USEC=1800000000")


@pytest.mark.parametrize(
    ("microseconds", "process", "period_s"),
    [("", "", 0.0), ("x", "", 0.0), ("2000000", "", 1.0), ("2000000", "1", 0.0)],
)
def test_a_sign_of_life_is_due_twice_in_the_watchdogs_time(
    microseconds: str, process: str, period_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", process or str(os.getpid()))
    assert systemd.watchdog_period_s() == period_s

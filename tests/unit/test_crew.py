# SPDX-License-Identifier: Apache-2.0
"""What `visavis workers` and `visavis run` say to each other, and workers that come and go."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from visavis.appliance import CrewOf
from visavis.cli.workers import show
from visavis.config_gen import Config, Web
from visavis.crew import SOCKET, Crew, Member, NobodyRuns, Request, RequestRefused, ask, find, listening, run_folder
from visavis.figures import TIMEOUT_S
from visavis.supervisor import Supervisor

from tests.unit.test_supervisor import SLEEPER, alive
from tests.waiting import HANG_S, until


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_who_only_starts_workers_does_without_numpy() -> None:
    look = "import sys, visavis.cli, visavis.appliance; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], check=True)


def member(name: str) -> Member:
    return Member(id=1, name=name, state="idle", backend="fake", model="fake", frames=0, service_ms=1.0)


def crew(device: str, wanted: int = 1, *names: str) -> Crew:
    return Crew(device=device, wanted=wanted, workers=tuple(map(member, names)))


def test_a_request_reaches_the_one_that_runs_and_its_answer_comes_back() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Crew:
        asked.append(request)
        return crew("porch", 3, "worker-1")

    with run_folder() as folder, listening(folder, answer):
        assert ask(find(None), Request(3)) == crew("porch", 3, "worker-1")
        assert find("porch") == folder / SOCKET
    assert asked[:2] == [Request(), Request(3)]
    with pytest.raises(NobodyRuns, match="start it first"):
        find(None)


def test_workers_are_told_of_although_the_daemon_is_busy() -> None:
    """It answers after longer than a line of figures is waited for."""
    told = msgspec.json.encode({"workers": [member("worker-1")]})
    with socket.create_server(("127.0.0.1", 0)) as daemon, ThreadPoolExecutor(1) as pool:
        daemon.settimeout(HANG_S)
        config = Config(web=Web(listen=f"127.0.0.1:{daemon.getsockname()[1]}"))
        asked = pool.submit(CrewOf(config, cast(Supervisor, SimpleNamespace(count=1)), "").answer, Request())
        with daemon.accept()[0] as connection:
            connection.recv(1 << 16)
            time.sleep(1.5 * TIMEOUT_S)
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(told)}\r\n\r\n".encode() + told)
            assert asked.result(HANG_S).workers == (member("worker-1"),)


def test_of_several_one_must_be_named_and_what_a_kill_left_behind_is_none() -> None:
    with ExitStack() as stack:
        left, one, two = (stack.enter_context(run_folder()) for _ in range(3))
        stack.enter_context(socket.socket(socket.AF_UNIX)).bind(str(left / SOCKET))
        stack.enter_context(listening(one, lambda _: crew("one")))
        stack.enter_context(listening(two, lambda _: crew("two")))
        with pytest.raises(NobodyRuns, match="one, two"):
            find(None)
        assert find("two") == two / SOCKET
        with pytest.raises(NobodyRuns, match="of device three"):
            find("three")


def test_what_another_user_has_made_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Crew:
        asked.append(request)
        return crew("stranger")

    me = os.geteuid()
    with run_folder() as folder, listening(folder, answer):
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        with pytest.raises(NobodyRuns, match="start it first"):
            find(None)
        monkeypatch.setattr(os, "geteuid", lambda: me)
        assert not asked
        assert find(None) == folder / SOCKET


def drip(listener: socket.socket, given_up: threading.Event) -> None:
    """Answer byte by byte."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        for _ in range(100):
            if given_up.wait(0.1):
                return
            connection.sendall(b" ")


def test_one_that_answers_ever_so_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.crew.ASK_LIMIT_S", 0.5)
    given_up = threading.Event()
    with run_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        thread = threading.Thread(target=drip, args=(listener, given_up))
        thread.start()
        try:
            with pytest.raises(NobodyRuns, match="timed out"):
                ask(folder / SOCKET, Request())
        finally:
            given_up.set()
            thread.join()


def test_names_that_workers_chose_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(Namespace(json=False), crew("porch", 1, "\x1b]0;worker\a"))
    assert "\x1b" not in capsys.readouterr().out


def test_one_that_ends_between_two_questions_is_no_fault_of_who_asks() -> None:
    with run_folder() as folder:
        with listening(folder, lambda _: crew("porch")):
            path = find(None)
        with pytest.raises(NobodyRuns, match="has it ended"):
            ask(path, Request())


@pytest.mark.parametrize(
    "said", [b'{"workers": 0}\n', b'{"workers": 17}\n', b'{"workers": "all"}\n', b"\n", b"\xff\n", b"{"]
)
def test_what_is_no_request_changes_nothing_and_is_told(said: bytes) -> None:
    def answer(_: Request) -> Crew:
        raise AssertionError("it was taken")

    with run_folder() as folder, listening(folder, answer), socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/{SOCKET}")
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        assert b'"error":""' not in client.recv(65_536)


@contextmanager
def no_descriptor() -> Iterator[None]:
    """Let this process open nothing beside stdin, stdout and stderr; with a limit of 0 it could not wait with poll."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_could_not_let_anybody_in_does_so_when_it_can(caplog: pytest.LogCaptureFixture) -> None:
    with run_folder() as folder, listening(folder, lambda _: crew("porch")):
        waits = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        with no_descriptor():
            for client in waits:  # the kernel has given the first one its descriptor before it came
                client.connect(f"{folder}/{SOCKET}")
                client.sendall(b"{}\n")
            until(lambda: "Too many open files" in caplog.text, "it is told")
        for client in waits:
            client.settimeout(HANG_S)
            assert b"porch" in client.recv(65_536)
            client.close()
    assert caplog.text.count("Too many open files") == 1


def test_what_cannot_be_answered_is_told_to_who_asks() -> None:
    def answer(_: Request) -> Crew:
        raise NobodyRuns("the daemon does not answer", "wait")

    with run_folder() as folder, listening(folder, answer):
        for _ in range(2):
            with pytest.raises(RequestRefused, match="the daemon does not answer"):
                ask(folder / SOCKET, Request())


def test_a_refusal_is_an_error_with_its_words() -> None:
    with (
        run_folder() as folder,
        listening(folder, lambda _: crew("porch")),
        pytest.raises(RequestRefused, match="1 to 16"),
    ):
        ask(folder / SOCKET, Request(99))


def test_the_crew_is_settled_when_those_are_there_that_it_should_have_and_the_others_have_left() -> None:
    one, two = crew("box", 1, "worker-1"), crew("box", 2, "worker-1", "worker-2")
    assert crew("box", 2, "worker-2", "guest", "worker-1").settled(one)
    assert not crew("box", 2, "worker-1", "guest").settled(one)
    assert not crew("box", 1, "worker-1", "worker-2").settled(two)
    assert one.settled(two)
    assert two.settled(crew("box", 2, "worker-1")), "one that was wanted before has come"


def test_a_worker_that_joined_under_a_name_of_the_crew_is_neither_taken_for_it_nor_in_its_way() -> None:
    joined = crew("box", 1, "worker-1", "worker-1", "worker-2", "worker-9")
    assert joined.settled(joined)
    assert not crew("box", 2, "worker-1", "worker-1", "worker-2", "worker-9").settled(joined)
    two = crew("box", 2, "worker-1", "worker-1", "worker-2", "worker-2", "worker-9")
    assert two.settled(joined)
    assert not crew("box", 1, "worker-1", "worker-1", "worker-2", "worker-2", "worker-9").settled(two)
    assert joined.settled(two)


def test_workers_are_added_and_taken_away_while_the_others_stay() -> None:
    with Supervisor(SLEEPER, 1) as workers:
        until(lambda: len(workers.pids()) == 1, "one runs")
        first = workers.pids()[1]
        workers.resize(3)
        until(lambda: len(workers.pids()) == 3, "three run")
        third = workers.pids()[3]
        workers.resize(1)
        assert (workers.count, workers.pids()) == (1, {1: first})
        assert not alive(third)
    workers.resize(2)
    assert workers.pids() == {}

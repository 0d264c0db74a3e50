# SPDX-License-Identifier: Apache-2.0
"""How many workers there are, asked and changed from another terminal: between `visavis run` and `visavis workers`.

`visavis run` listens on a socket in its own folder, which only its user may enter: who can ask could start workers
anyway, so there is no password, and no other machine can ask at all. One line of JSON each way, then the connection
ends.
"""

from __future__ import annotations

import logging
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from visavis.errors import VisavisError
from visavis.own_folder import ours, own_folder, written_to
from visavis.threads import start

FOLDER_PREFIX = "visavis-"
SOCKET = "crew.sock"
MOST_BYTES = 65_536
ASK_LIMIT_S = 10.0
# How long the one who answers waits when nobody can be let in: no descriptor, no memory.
REST_S = 1.0

log = logging.getLogger(__name__)


class NobodyRuns(VisavisError):
    """There is no `visavis run` of this user any more, or there are several and none was named."""

    kind = "crew"


class RequestRefused(VisavisError):
    """`visavis run` refused the request."""

    kind = "crew"


class Request(msgspec.Struct, frozen=True):
    """What is asked for: so many workers from now on, or None to leave them as they are."""

    workers: int | None = None


class Member(msgspec.Struct, frozen=True):
    """One worker that is connected to the daemon, as the daemon's status tells it."""

    id: int
    name: str
    state: str
    backend: str
    model: str
    frames: int
    service_ms: float


class Crew(msgspec.Struct, frozen=True):
    """The answer: the device, how many workers `visavis run` keeps, and all that are connected, joined ones too.

    `error` is empty, or says why nothing was changed.
    """

    device: str
    wanted: int
    workers: tuple[Member, ...]
    error: str = ""

    def settled(self, before: Crew) -> bool:
        """Whether all that `visavis run` should keep are connected, and those that it kept `before` have left.

        They are counted by name, for a worker that joined may be called as one of them is.
        """
        now, then = (Counter(member.name for member in crew.workers) for crew in (self, before))
        kept, came, left = (
            [f"worker-{number}" for number in range(first + 1, last + 1)]
            for first, last in ((0, self.wanted), (before.wanted, self.wanted), (self.wanted, before.wanted))
        )
        return (
            all(now[name] for name in kept)
            and all(now[name] > then[name] for name in came)
            and all(now[name] < max(then[name], 1) for name in left)
        )


def run_folder() -> AbstractContextManager[Path]:
    """The folder of one `visavis run`, where `visavis workers` finds it; nobody else may enter it."""
    return own_folder(FOLDER_PREFIX)


@contextmanager
def listening(folder: Path, answer: Callable[[Request], Crew]) -> Iterator[None]:
    """Answer requests in a thread while the block runs.

    Args:
        folder: as `run_folder` made it.
        answer: is called for each request, in that thread.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        with written_to(folder):
            listener.bind(str(folder / SOCKET))
        listener.listen()
        ended = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, answer, ended), name="crew")
        start(thread)
        try:
            yield
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join()


def ask(path: Path, request: Request) -> Crew:
    """Send one request to the `visavis run` whose socket is at `path`.

    Raises:
        NobodyRuns: nobody answers there, or no longer.
        RequestRefused: it does not want to do that.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ASK_LIMIT_S)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            crew = msgspec.json.decode(_line(connection), type=Crew)
    except (OSError, msgspec.DecodeError) as error:
        raise NobodyRuns(f"`visavis run` does not answer at {path}, {error}", "has it ended? Start it again") from error
    if crew.error:
        raise RequestRefused(crew.error)
    return crew


def find(device: str | None) -> Path:
    """The socket of the one `visavis run` of this user, or of that of a device.

    Raises:
        NobodyRuns: there is none, or several.
    """
    found = {path: crew.device for path, crew in _running() if device in (None, crew.device)}
    if len(found) == 1:
        return next(iter(found))
    if found:
        names = ", ".join(sorted(found.values()))
        raise NobodyRuns(f"several `visavis run` are running here, {names}", "choose one with --device")
    which = f" of device {device}" if device else ""
    raise NobodyRuns(f"no `visavis run`{which} of this user is running here", "start it first, or see `visavis worker`")


def _running() -> Iterator[tuple[Path, Crew]]:
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/{SOCKET}")):
        if not ours(path.parent):
            continue  # for root too: anybody may answer there
        try:
            yield path, ask(path, Request())
        except NobodyRuns:
            continue  # left behind by a kill


def _serve(listener: socket.socket, answer: Callable[[Request], Crew], ended: threading.Event) -> None:
    for connection in _connections(listener, ended):
        with connection:
            try:
                _answer(connection, answer)
            except OSError as error:
                log.warning("a `visavis workers` went away, %s", error)


def _connections(listener: socket.socket, ended: threading.Event) -> Iterator[socket.socket]:
    """Whoever comes until `ended`. What keeps people out is told once, and passes."""
    told = ""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if ended.is_set():
                return
            if told != str(error):
                log.warning("`visavis workers` gets no answer for now, %s", error)
            told = str(error)
            ended.wait(REST_S)
        else:
            told = ""
            yield connection


def _answer(connection: socket.socket, answer: Callable[[Request], Crew]) -> None:
    try:
        request = msgspec.json.decode(_line(connection), type=Request)
        _check(request)
        crew = answer(request)
    except (msgspec.DecodeError, VisavisError) as error:
        crew = Crew(device="", wanted=0, workers=(), error=str(error))
    connection.settimeout(ASK_LIMIT_S)
    connection.sendall(msgspec.json.encode(crew) + b"\n")


def _check(request: Request) -> None:
    if request.workers is None:
        return
    # NumPy comes with it, 9 MB that `visavis run` otherwise does without.
    from visavis.ring_gen import MAX_WORKERS  # noqa: PLC0415

    if not 1 <= request.workers <= MAX_WORKERS:
        raise msgspec.ValidationError(f"{request.workers} workers are not possible: choose 1 to {MAX_WORKERS}")


def _line(connection: socket.socket) -> bytes:
    """Read up to the end of a line, or of what the peer sends, for ASK_LIMIT_S in all."""
    line, end_s = b"", time.monotonic() + ASK_LIMIT_S
    while not line.endswith(b"\n") and len(line) < MOST_BYTES:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left_s)
        more = connection.recv(MOST_BYTES)
        if not more:
            break
        line += more
    return line

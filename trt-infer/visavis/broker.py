# SPDX-License-Identifier: Apache-2.0
"""A mosquitto of our own on loopback, for who has no broker yet."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from visavis.errors import VisavisError
from visavis.keeper import Keeper
from visavis.own_folder import NoPlace, own_folder, put

FOLDER_PREFIX = "visavis-broker-"
# Whom mosquitto becomes when root starts it: the first of these that there is.
USERS = ("mosquitto", "nobody")
# Where mosquitto keeps its state. Of cameras with `snapshots` the newest picture is part of it: not for a disk.
MEMORY = Path("/dev/shm")  # noqa: S108 (as below)
# The same if its user may enter neither that nor TMPDIR.
OPEN_TO_ALL = ("/tmp", "/var/tmp")  # noqa: S108 (a folder of our own is made in it)
START_LIMIT_S = 30.0  # a board that starts has much else to do
STOP_LIMIT_S = 3.0
CONFIG = """\
# Written by `visavis run`: reachable from this machine only, and gone when it ends.
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {state}/
autosave_interval 10
log_dest stderr
log_type error
log_type warning
"""
REMEDY = (
    "its own message is above; if something else took its port, stop that or set VISAVIS_MQTT_PORT and start again,"
    " or set mqtt.url to a broker you have"
)
# Ends the command when our end of the pipe is closed, which the kernel does even if we are killed. The death signal
# that the daemon uses is lost when mosquitto gives up root. `exec` keeps the process id: the command is our child.
GUARD = """\
exec 3<&0 </dev/null
{ read -r _ <&3; kill $$ 2>/dev/null; } &
exec "$@" 3<&-
"""
# MQTT 3.1.1 CONNECT of a client without a name, clean session; the first two bytes of any CONNACK; "accepted".
PROBE = bytes.fromhex("100c00044d5154540402000a0000")
PROBE_ANSWER = b"\x20\x02"
ACCEPTED = 0

log = logging.getLogger(__name__)


class BrokerFailed(VisavisError):
    """mosquitto is missing, does not start, or its port belongs to somebody else."""


@contextmanager
def managed_broker(port: int, folder: Path) -> Iterator[str]:
    """Run mosquitto on 127.0.0.1:port while the block runs; yields its URL.

    It is started again when it dies, with sessions and retained messages; a kill costs the last seconds of these. A
    broker that already answers there is used instead, and left alone at the end.

    Raises:
        BrokerFailed: the port is taken by something else or by a broker that wants a password, or mosquitto is
            missing or refuses to start.
    """
    url = f"mqtt://127.0.0.1:{port}"
    if port_is_taken(port):
        check_guest(port)
        yield url
        return
    with state_folder() as state:
        start = partial(started, mosquitto(), written_config(port, folder, state))
        keeper = Keeper("the broker", start, REMEDY, running=first(start, port))
        try:
            yield url
        finally:
            keeper.stop()
            keeper.end(STOP_LIMIT_S)


def mosquitto() -> str:
    """The path of the program.

    Raises:
        BrokerFailed: it is not here.
    """
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if program is None:
        raise BrokerFailed("mosquitto is not installed", "apt install mosquitto, or set mqtt.url to a broker you have")
    return program


@contextmanager
def state_folder() -> Iterator[Path]:
    """A folder that mosquitto may write while the block runs: as root it becomes another user.

    Raises:
        NoPlace: there is no room for it anywhere.
    """
    as_root = os.geteuid() == 0
    with ExitStack() as made:
        try:
            folder = made.enter_context(own_folder(FOLDER_PREFIX, enterable() if as_root else in_memory()))
        except NoPlace as error:
            log.warning("%s, so the broker keeps its state on a disk", error.sentence)
            folder = made.enter_context(own_folder(FOLDER_PREFIX, enterable(on_disk=True) if as_root else None))
        if as_root:
            shutil.chown(folder, user_of_mosquitto())
        yield folder


def user_of_mosquitto() -> str:
    """Whom mosquitto becomes when root starts it.

    Raises:
        BrokerFailed: there is nobody whom it could become.
    """
    for name in USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise BrokerFailed(
        f"mosquitto gives up root, and this system has no user {' or '.join(USERS)}",
        "make one, `useradd --system mosquitto`, or do not run as root",
    )


def in_memory() -> Path | None:
    """Where files take memory; None on a system that lets us write nowhere there."""
    return MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None


def enterable(*, on_disk: bool = False) -> Path:
    """Memory, the folder for temporary files, or another one: the first of them that every user may enter."""
    usual = Path(tempfile.gettempdir()).resolve()
    for folder in (*([] if on_disk else [MEMORY]), usual, *map(Path, OPEN_TO_ALL)):
        if all_may_enter(folder):
            return folder
    log.warning(
        "mosquitto gives up root and cannot enter %s, so the broker forgets retained messages when it ends:"
        " set TMPDIR to a folder that all users may enter, or do not run as root",
        usual,
    )
    return usual


def all_may_enter(folder: Path) -> bool:
    """Whether folder is one that every user can get into."""
    return folder.is_dir() and all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))


def written_config(port: int, folder: Path, state: Path) -> Path:
    """Write mosquitto's configuration; return where it is."""
    config = folder / "mosquitto.conf"
    put(config, CONFIG.format(port=port, state=state))
    return config


def started(program: str, config: Path) -> subprocess.Popen[bytes]:
    """Start mosquitto in a session of its own, so that Ctrl-C reaches it only through us."""
    command = ["/bin/sh", "-c", GUARD, "visavis-broker", program, "-c", str(config)]
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.PIPE)


def first(start: Callable[[], subprocess.Popen[bytes]], port: int) -> subprocess.Popen[bytes]:
    """Start mosquitto and return when it answers.

    Raises:
        BrokerFailed: it does not, and was ended.
    """
    process = start()
    try:
        wait_until_up(process, port)
    except BrokerFailed:
        process.kill()
        process.communicate()  # closes the guard's pipe too
        raise
    return process


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the broker answers; raise BrokerFailed when it ends or does not answer in START_LIMIT_S."""
    deadline = time.monotonic() + START_LIMIT_S
    while mqtt_answer(port) is None:
        if process.poll() is not None:
            raise BrokerFailed(f"mosquitto ended with {process.returncode} at start: its own message is above")
        if time.monotonic() > deadline:
            raise BrokerFailed(f"mosquitto does not answer on port {port} after {START_LIMIT_S:.0f} s")
        time.sleep(0.01)


def port_is_taken(port: int) -> bool:
    """Whether something on loopback listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_guest(port: int) -> None:
    """Raise BrokerFailed when what listens there is no broker that takes a client without a name."""
    answer = mqtt_answer(port)
    if answer is None:
        raise BrokerFailed(f"port {port} for the broker is taken", "stop what uses it or set VISAVIS_MQTT_PORT")
    if answer != ACCEPTED:
        raise BrokerFailed(
            f"the broker on port {port} refuses clients without a password",
            "set mqtt.url, mqtt.user and mqtt.password_file in a configuration, or VISAVIS_MQTT_PORT to another port",
        )


def mqtt_answer(port: int) -> int | None:
    """The code with which a broker there answers an anonymous client; None when nothing there speaks MQTT."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(PROBE)
            answer = probe.recv(4)
    except OSError:
        return None
    return answer[3] if len(answer) == 4 and answer.startswith(PROBE_ANSWER) else None

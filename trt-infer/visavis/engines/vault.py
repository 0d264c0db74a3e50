# SPDX-License-Identifier: Apache-2.0
"""Files that only this device believes: sealed with a secret of its own, whole or not there.

TensorRT runs what an engine file says, so a file that somebody else wrote or changed must never reach it. A sealed file
is `MAGIC`, HMAC-SHA256 of all that follows, the record's length (8 bytes, little endian), the record, the content.
"""

from __future__ import annotations

import errno
import hmac
import logging
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from visavis.atomic import write_atomically

log = logging.getLogger(__name__)

MAGIC = b"visavis sealed 1\n"
CREDENTIAL = "engine.key"
# Where systemd takes it from. What root builds by hand must be sealed as services seal it, or no worker believes it.
CREDSTORE = Path("/etc/credstore")
SECRET_BYTES = 32
SUM_BYTES = 32
LENGTH_BYTES = 8
MOST_BYTES = 2 << 30
MOST_RECORD_BYTES = 1 << 20


class Vault:
    """Sealed files in one folder, with the device's secret: systemd's credential engine.key, else `device.key` there.

    Raises:
        OSError: the folder or the secret cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._secret = _given_secret() or _secret(folder / "device.key")

    def seal(self, name: str, record: bytes, content: bytes) -> Path:
        """Write a file that is complete or not there.

        Raises:
            OSError: nothing was written.
        """
        path = self.folder / name
        self._sweep(name)
        body = len(record).to_bytes(LENGTH_BYTES, "little") + record + content
        write_atomically(path, MAGIC + self._sum(body) + body)
        return path

    def unseal(self, name: str) -> tuple[bytes, bytes] | None:
        """Return record and content exactly as they were sealed here, else None: missing, changed, from elsewhere.

        Raises:
            OSError: the file exists but cannot be read.
        """
        path = self.folder / name
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        sealed = path.read_bytes()
        head = len(MAGIC) + SUM_BYTES
        told, body = sealed[len(MAGIC) : head], sealed[head:]
        if not sealed.startswith(MAGIC) or not hmac.compare_digest(told, self._sum(body)):
            log.warning("%s was not sealed by this device, or was changed: it is not used", path)
            return None
        length = int.from_bytes(body[:LENGTH_BYTES], "little")
        return body[LENGTH_BYTES : LENGTH_BYTES + length], body[LENGTH_BYTES + length :]

    def used(self, name: str) -> None:
        """Note that a file is in use, for `let_go`: by when it was read. When it was written says how old it is."""
        path = self.folder / name
        with suppress(OSError):  # of another user, or on a disk that is read-only: nothing is let go there either
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))

    def let_go(self, pattern: str, most_bytes: int, stays: str) -> list[Path]:
        """Remove the files that were not used for longest until the others are no larger than that together.

        Args:
            stays: the file that is removed in no case; by its time, the clock may have been wrong.

        Raises:
            OSError: one cannot be removed.
        """
        files = [(path.name == stays, path.stat(), path) for path in self.folder.glob(pattern)]
        kept_bytes, gone = 0, []
        for is_safe, about, path in sorted(files, key=lambda one: (one[0], one[1].st_atime_ns), reverse=True):
            kept_bytes += about.st_size
            if kept_bytes > most_bytes and not is_safe:
                path.unlink(missing_ok=True)
                gone.append(path)
        return gone

    def _sum(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")

    def _sweep(self, name: str) -> None:
        """Remove what writers left that were killed; one writes a name at a time, so nobody writes now."""
        for rest in self.folder.glob(f".{name}.*"):
            rest.unlink(missing_ok=True)


def record_of(file: Path) -> bytes:
    """The record of a sealed file, unchecked: what it says of itself. Nothing where that is no sealed file.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as sealed:
        if sealed.read(len(MAGIC)) != MAGIC:
            return b""
        sealed.seek(SUM_BYTES, os.SEEK_CUR)
        return sealed.read(min(int.from_bytes(sealed.read(LENGTH_BYTES), "little"), MOST_RECORD_BYTES))


def _given_secret() -> bytes | None:
    """The secret that systemd hands to this service, or would hand to it if we may read that; None without one."""
    folders = (Path(os.environ.get("CREDENTIALS_DIRECTORY") or CREDSTORE), CREDSTORE)
    file = next((folder / CREDENTIAL for folder in folders if os.access(folder / CREDENTIAL, os.R_OK)), None)
    if file is None:
        return None
    secret = file.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise OSError(errno.EINVAL, f"the credential has fewer than {SECRET_BYTES} bytes, make a longer one", str(file))
    return secret


def _secret(path: Path) -> bytes:
    """Read the secret, or make one; one that others may read is no secret any more and is replaced."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes()
    except FileNotFoundError:
        return _new_secret(path)
    if mode & 0o077 == 0 and len(secret) == SECRET_BYTES:
        return secret
    log.warning("%s has mode %03o and %d bytes: a new one is made, engines are built again", path, mode, len(secret))
    path.unlink(missing_ok=True)
    return _new_secret(path)


def _new_secret(path: Path) -> bytes:
    # Written aside and then linked: of two processes that come first at the same time one wins, and both read the same.
    own = path.with_suffix(f".{os.getpid()}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            os.fchmod(file.fileno(), 0o600)
        try:
            os.link(own, path)
        except FileExistsError:
            log.info("another process made %s first", path)
    finally:
        own.unlink()
    return path.read_bytes()

# SPDX-License-Identifier: Apache-2.0
"""The keys of an owner: an authority that every device trusts, and a certificate from it that signs updates.

Two, so that the signing key can be replaced without touching a device: the authority's key signs once and is put away.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from visavis.errors import UpdateError
from visavis.programs import ran

CA_KEY, CA, KEY, CERTIFICATE = "ca.key", "ca.pem", "signing.key", "signing.pem"
OF_AUTHORITY = (CA_KEY, CA)
ALL = (*OF_AUTHORITY, KEY, CERTIFICATE)
REQUEST = ("req", "-new", "-utf8", "-config", "extensions.conf")
CA_DAYS, SIGNING_DAYS = 30 * 365, 10 * 365
# A certificate's names have 64 letters at most, and AUTHORITY is added.
AUTHORITY, SIGNER = " update authority", " updates"
MOST_NAME = 64 - len(AUTHORITY)
EXTENSIONS = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signing]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
# RAUC on a device asks for the first; a rauc that has no configuration, as where bundles are made, for the second.
extendedKeyUsage = codeSigning, emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def make_keys(folder: Path, name: str = "visavis") -> tuple[str, ...]:
    """Write the four files into `folder`, which is made; secrets with mode 0600. Returns what was made.

    Where the authority is there alone, only another signing pair is made: devices trust that one too.

    Args:
        folder: where they go.
        name: the owner, as the certificates say it.

    Raises:
        UpdateError: one of them is there already, the name cannot be, there is no room, openssl is missing or
            refuses.
    """
    if not name.isprintable() or not 1 <= len(name) <= MOST_NAME:
        raise UpdateError(f"{name!r} cannot be the name in certificates", f"choose one of 1 to {MOST_NAME} letters")
    there = [file for file in ALL if _is_there(folder / file)]
    if there not in ([], [*OF_AUTHORITY]):
        raise _held(folder, there)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as draft:
        (Path(draft) / "extensions.conf").write_text(EXTENSIONS)
        for file in there:
            (Path(draft) / file).symlink_to((folder / file).resolve())
        if not there:
            _make_authority(Path(draft), name)
        _make_signer(Path(draft), name)
        _check_whole(Path(draft))
        wanted = tuple(file for file in ALL if file not in there)
        with _claimed(folder / KEY):
            for file in wanted:
                (Path(draft) / file).rename(folder / file)
    return wanted


def _is_there(file: Path) -> bool:
    """Whether it is more than a claim, see `_claimed`."""
    return file.exists() and file.stat().st_size > 0


def _held(folder: Path, there: Sequence[str]) -> UpdateError:
    return UpdateError(
        f"{folder} already holds {', '.join(there)}",
        f"devices trust these keys: for another signing pair leave {CA_KEY} and {CA} alone in the folder; "
        "a folder without any gets an authority that no device trusts yet",
    )


@contextmanager
def _claimed(key: Path) -> Iterator[None]:
    """Let only one of those that make keys at the same time put them there: a rename would replace the other's.

    Raises:
        UpdateError: somebody else has.
    """
    try:
        key.open("xb").close()
    except FileExistsError as error:
        if key.stat().st_size:
            raise _held(key.parent, [key.name]) from error
        raise UpdateError(f"{key} is empty: others make keys here now, or were killed", "remove it then") from error
    try:
        yield
    finally:
        if not key.stat().st_size:  # something ended us before the key was there
            key.unlink()


def _make_authority(folder: Path, name: str) -> None:
    _make_key(folder, CA_KEY)
    own = f"-x509 -key {CA_KEY} -sha256 -days {CA_DAYS} -extensions ca -out {CA}".split()
    _openssl(folder, *REQUEST, *own, "-subj", _subject(name, AUTHORITY))


def _make_signer(folder: Path, name: str) -> None:
    _make_key(folder, KEY)
    _openssl(folder, *REQUEST, "-key", KEY, "-out", "request", "-subj", _subject(name, SIGNER))
    given = f"-CA {CA} -CAkey {CA_KEY} -CAcreateserial -sha256 -days {SIGNING_DAYS}".split()
    extensions = ["-extfile", "extensions.conf", "-extensions", "signing"]
    _openssl(folder, "x509", "-req", "-in", "request", *given, *extensions, "-out", CERTIFICATE)


def _make_key(folder: Path, key: str) -> None:
    _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    (folder / key).chmod(0o600)


def _check_whole(folder: Path) -> None:
    """Look at what will sign: openssl ends well although the disk took a part of what it wrote, or nothing.

    When certificates end, and whether somebody signed an owner's authority, is looked at elsewhere.
    """
    _openssl(folder, "pkey", "-noout", "-in", KEY)
    _openssl(folder, "verify", "-partial_chain", "-no_check_time", "-CAfile", CA, CERTIFICATE)


def _subject(name: str, role: str) -> str:
    """As openssl reads it, where three characters have a meaning of their own."""
    plain = re.sub(r"([\\/+])", r"\\\1", name)
    return f"/O={plain}/CN={plain}{role}"


def _openssl(folder: Path, *words: str) -> None:
    if shutil.which("openssl") is None:
        raise UpdateError("openssl, which makes the keys, is not installed", "sudo apt install openssl")
    done = ran(["openssl", *words], cwd=folder)
    if done.returncode != 0:
        raise UpdateError(f"openssl {words[0]} refused: {done.stderr.strip()}")
    made = words[words.index("-out") + 1] if "-out" in words else ""
    if made and not _is_there(folder / made):
        raise UpdateError(f"openssl wrote nothing into {made}", f"make room on the disk of {folder.parent}")

# SPDX-License-Identifier: Apache-2.0
"""Runs at each start of a device that was made from an image, before anything that serves.

What a device must have and no image may bring, it makes for itself: a name, SSH host keys, a claim code. Then it takes
the settings that its owner left on the boot partition. Nothing here keeps a device from starting: what is wrong is said
on the console and in a file on the boot partition.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from visavis import __version__
from visavis.atomic import no_link

from visavis_device import files, settings
from visavis_device.files import File

# As for a worker: systemd decrypts what is secret for the daemon alone, and nothing here says where it lies.
CHECK = ("/usr/bin/visavis-capture", "-effective", "-for-worker", "-config")
CONFIG = "etc/visavis"
ACCOUNTS = "var/lib/visavis/credentials.toml"
# The daemon keeps there a hash of each code that was used, a line each.
USED_CODES = f"{ACCOUNTS}.claimed"
# Of text that is not UTF-8: written again as it was read.
KEEP = "surrogateescape"
MOST_BYTES = 1 << 20
STATUS, CLAIM_COPY = "visavis-status.txt", "claim-code.txt"
# The first stage makes it where what is written below /etc and /var lies in memory.
IN_MEMORY = "visavis-in-memory"
# ssh-keygen -A makes it last.
NEEDED_SSH_KEY = "ssh_host_ed25519_key"
SSH_DRAFT = re.compile(r"ssh_host_\w+_key(\.pub)?\.\w{10}")
REFUSES = "The daemon refuses its settings: "
APPLIED = "was applied and removed"
FOR_THIS_RUN = """{} was applied for this run only and stays: the data partition cannot be written.
An empty file named factory-reset beside it makes that anew at the next start; if that fails, replace the disk."""

# What the daemon says against the configuration in a folder, a complaint a line; empty when it takes it.
Accept = Callable[[Path], str]


@dataclass(frozen=True)
class Places:
    """Where the device's files are; tests have a root of their own."""

    root: Path = Path("/")
    boot: Path = Path("/boot/efi")
    run: Path = Path("/run")


def main() -> int:
    """Prepare the device; 1 when something of that failed."""
    places = Places()
    good = prepare(places, check)
    with contextlib.suppress(OSError):  # the network is told what it was told before; `prepare` has said what is wrong
        announce(places.root, device_id(places.root / CONFIG))
    return 0 if good else 1


def prepare(places: Places, accept: Accept) -> bool:
    """Do what can be done and tell what cannot; whether all is well."""
    failure = tell_failure(lambda: make_identity(places))
    sentence, good = take_settings(places, accept)
    with contextlib.suppress(OSError):  # a device that cannot be renamed has the old name until its next start
        socket.sethostname(name_of(places.root))
    code, unseen = open_claim(places.root)
    greet(places, "\n".join(filter(None, (failure, sentence, unseen))), code)
    os.sync()
    return good and not failure and not unseen


def tell_failure(make: Callable[[], None]) -> str:
    """What kept the device from making what it must have; empty when nothing did."""
    try:
        make()
    except (OSError, subprocess.CalledProcessError) as error:
        return (
            f"This device cannot keep a name, a claim code or SSH keys of its own: {error}. Is its data partition full?"
        )
    return ""


def make_identity(places: Places) -> None:
    """A name, a claim code and host keys, unless they are there. What a power cut left empty or zeroed is made anew."""
    if not has_content(places.root / files.HOSTNAME):
        for file in files.identity(f"visavis-{secrets.token_hex(2)}"):
            write(places.root, file)
    if not has_content(places.root / files.CLAIM):
        write(places.root, files.claim("".join(secrets.choice(settings.CLAIM_LETTERS) for _ in range(8))))
    make_ssh_keys(places.root)


def make_ssh_keys(root: Path) -> None:
    """The host keys that are not there.

    Raises:
        OSError: one is missing or damaged then; on a full disk ssh-keygen ends well all the same.
    """
    folder = root / "etc/ssh"
    clear_empty_keys(folder)
    before = set(folder.iterdir())
    subprocess.run(["ssh-keygen", "-A", "-f", str(root)], check=True, stdout=subprocess.DEVNULL)
    clear_empty_keys(folder)
    for draft in set(folder.iterdir()) - before:  # on a full disk each start would leave one more
        if SSH_DRAFT.fullmatch(draft.name):
            draft.unlink()
    for key in sorted({folder / NEEDED_SSH_KEY, *folder.glob("ssh_host_*_key")}):
        public = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", str(key)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if public.returncode != 0:
            raise OSError(f"{key} is missing or damaged")


def clear_empty_keys(folder: Path) -> None:
    for key in folder.glob("ssh_host_*"):
        if not has_content(key):
            key.unlink()


def has_content(path: Path) -> bool:
    return path.exists() and bool(path.read_bytes().strip(b"\0 \n"))


def write(root: Path, file: File) -> None:
    """Write a file so that it is complete or not there, readable by its group alone where it is secret."""
    path = root / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", errors=KEEP) as out:  # noqa: PTH123 (never readable in between)
        out.write(file.content)
        out.flush()
        os.fsync(out.fileno())
    if file.group != "root":
        shutil.chown(draft, group=file.group)
    draft.chmod(file.mode)
    draft.replace(path)


def take_settings(places: Places, accept: Accept) -> tuple[str, bool]:
    """Apply the owner's file, and remove it if that is kept. Returns what to tell them, and whether all is well."""
    try:
        file = settings_file(places.boot)
        if not file:
            return "", True
        wanted = files.of(settings.read(file.read_bytes()))
        older = must_take(places, wanted, accept)
        apply(places.root, wanted)
    except (settings.SettingsError, OSError) as error:
        return f"{error}\nNothing of {settings.NAME} was applied: mend it, and start the device again.", False
    if older:
        older = f"\n{REFUSES}{older}"
    if (places.run / IN_MEMORY).exists():
        return FOR_THIS_RUN.format(file.name) + older, False
    os.sync()  # first: a power cut must not take both the file and what became of it
    try:
        file.unlink()  # it may hold passwords, and every computer can read this partition
    except OSError as error:
        return f"{file.name} was applied and cannot be removed, {error.strerror}: remove it yourself.{older}", False
    paths = ", ".join(one.path for one in wanted)
    return f"{file.name} {APPLIED}: {paths or 'it said nothing'}{older}", not older


def settings_file(boot: Path) -> Path | None:
    """The owner's file, None where there is none.

    Raises:
        SettingsError: there are two, and nobody knows which one counts.
    """
    found = [boot / name for name in settings.NAMES if (boot / name).exists()]
    if len(found) > 1:
        raise settings.SettingsError(f"{' and '.join(settings.NAMES)} are both there: remove one of them")
    return found[0] if found else None


def must_take(places: Places, wanted: list[File], accept: Accept) -> str:
    """Ask the daemon about a copy of its configuration with these files in it: nothing of them is on the disk before.

    Who mends a device by its keys or its network must not be kept out by what is wrong elsewhere.

    Returns:
        What the daemon has against its configuration now, and would still have.

    Raises:
        SettingsError: it would have something new, in its words.
    """
    places.run.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=places.run) as trial:  # in memory, and nobody else may enter
        config = Path(trial) / CONFIG
        if (places.root / CONFIG).is_dir():
            shutil.copytree(places.root / CONFIG, config, symlinks=True, ignore=neither_file_nor_folder)
        older = accept(config).splitlines()  # of the copy too, so that only the owner's files make a difference
        for file in wanted:
            write(Path(trial), file)
        complaints = accept(config).splitlines()
    if set(complaints) - set(older):
        raise settings.SettingsError(REFUSES + "\n".join(complaints))
    return "\n".join(complaints)


def neither_file_nor_folder(folder: str, names: list[str]) -> set[str]:
    """What cannot be copied, such as a pipe."""
    paths = {name: Path(folder, name) for name in names}
    return {name for name, path in paths.items() if not (path.is_symlink() or path.is_file() or path.is_dir())}


def apply(root: Path, wanted: list[File]) -> None:
    """Write all files, or none if one cannot be written.

    Raises:
        OSError: of the file that cannot be written.
    """
    before = {file.path: content_of(root / file.path) for file in wanted}
    try:
        for file in wanted:
            write(root, file)
    except OSError:
        for file in wanted:
            with contextlib.suppress(OSError):  # what could not be written needs no way back
                restore(root, file, before[file.path])
        raise


def content_of(path: Path) -> str | None:
    """What a file holds, whatever its encoding; None where there is none.

    Some lie where the daemon's user may write. A pipe in their place, for whose other end one waits, would keep the
    device from starting for ever.

    Raises:
        OSError: it cannot be read, is no plain file, or is absurdly long.
    """
    try:
        with open(path, "rb", opener=no_link) as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content.decode("utf-8", KEEP)


def restore(root: Path, file: File, content: str | None) -> None:
    if content is None:
        (root / file.path).unlink(missing_ok=True)
    else:
        write(root, File(file.path, content, file.mode, file.group))


def check(folder: Path) -> str:
    """What the daemon says against the configuration in a folder, which it calls by the name of the device's own."""
    command = [*CHECK, str(folder / "config.toml")]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().replace(str(folder), f"/{CONFIG}")
    return said or f"{CHECK[0]} ended with {done.returncode} and said nothing"


def device_id(folder: Path) -> str:
    """What the daemon calls the device; empty when it refuses the configuration in the folder."""
    done = subprocess.run([*CHECK, str(folder / "config.toml")], capture_output=True, check=False)
    return str(json.loads(done.stdout)["device"]["id"]) if done.returncode == 0 else ""


def announce(root: Path, device: str) -> None:
    """Let Avahi tell the network who this is, and of which release, as long as its owner lets it tell of the page."""
    page = content_of(root / files.PAGE_ANNOUNCEMENT)
    if page is None:
        (root / files.ANNOUNCEMENT).unlink(missing_ok=True)
    elif device:
        told = files.announcement(page, device, __version__)
        if told.content != content_of(root / files.ANNOUNCEMENT):
            write(root, told)


def line_of(path: Path) -> str:
    """The one line of a file, empty where there is none."""
    return (content_of(path) or "").strip()


def name_of(root: Path) -> str:
    """What the device is called; the name that it has now when the file with its own cannot be read."""
    with contextlib.suppress(OSError):
        return line_of(root / files.HOSTNAME) or socket.gethostname()
    return socket.gethostname()


def open_claim(root: Path) -> tuple[str, str]:
    """The claim code while it counts, else empty; and what keeps us from knowing, which shows no code to anybody."""
    try:
        code = line_of(root / files.CLAIM)
        return "" if (root / ACCOUNTS).exists() or is_used(root, code) else code, ""
    except OSError as error:
        return "", f"Whether this device has an administrator cannot be seen: {error}. Is its data partition damaged?"


def is_used(root: Path, code: str) -> bool:
    """Whether somebody has become the administrator by this code, for which the daemon takes it no more."""
    noted = hashlib.sha256(code.replace("-", "").encode("utf-8", KEEP)).hexdigest()
    return noted in (content_of(root / USED_CODES) or "").split()


def greet(places: Places, sentence: str, code: str) -> None:
    """Say on every console, and on the boot partition, who this is and how it is claimed while `code` is not empty."""
    name = name_of(places.root)
    lines = [f"This is {name}: https://{name}.local:8080/"]
    if code:
        lines.append(f"Nobody is its administrator yet: open https://{name}.local:8080/claim and type {code}")
    lines += sentence.splitlines()
    print("\n".join(lines), flush=True)
    issue = places.run / "issue.d" / "visavis.issue"
    issue.parent.mkdir(parents=True, exist_ok=True)
    issue.write_text("".join(f"{line}\n" for line in lines).replace("\\", "\\\\") + "\n")
    with contextlib.suppress(OSError):  # a boot partition that cannot be written is no reason not to start
        leave_word(places, sentence, code)


def leave_word(places: Places, sentence: str, code: str) -> None:
    """The files on the boot partition, for who has no console; the code only as long as it counts.

    What was wrong at an earlier start and is no more is not said for ever; that settings were applied is. Nothing
    changes while what the device keeps is in memory.
    """
    status, copy = places.boot / STATUS, places.boot / CLAIM_COPY
    if sentence:
        status.write_text(f"{sentence}\n")
    elif not (places.run / IN_MEMORY).exists() and (before := content_of(status)):
        left = [line for line in before.splitlines() if APPLIED in line] or ["Nothing is wrong."]
        if left != before.splitlines():
            status.write_text("\n".join(left) + "\n")
    if not code:
        copy.unlink(missing_ok=True)
    elif line_of(copy) != code:
        copy.write_text(f"{code}\n")


if __name__ == "__main__":
    sys.exit(main())

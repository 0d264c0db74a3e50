# SPDX-License-Identifier: Apache-2.0
"""RAUC, asked through its command line; what it refuses is said in words that name the remedy."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visavis.errors import UpdateError
from visavis.programs import ran
from visavis.update.said import last_line
from visavis.update.system import System
from visavis.update.versions import older

# A device that is just starting may need longer than the 25 s after which rauc stops waiting for its own service.
TRIES = 5
LOOK = "look into `journalctl -u rauc`; a system that was not flashed has no slots, it is updated with apt"
COPY_AGAIN = "copy it again and compare its sum with the builder's"
# What rauc says -> what is wrong with the bundle, and the remedy. The first that fits.
REFUSALS = (
    (r"Compatible mismatch", "is for another board", "take the bundle for this one: `visavis update status` names it"),
    (r"Version mismatch", "is older than this system", "take a newer one, or go back with `visavis update rollback`"),
    (r"not yet valid", "is signed by a certificate that is not valid yet", "set this device's clock"),
    (r"certificate has expired", "is signed by a certificate that has expired", "sign it with a new one"),
    (r"format '?plain'? not allowed|format .* not allowed", "has a format that is forbidden", "make it with `bundle`"),
    (
        r"unable to get (local )?issuer certificate|self.signed certificate|unsuitable certificate purpose"
        r"|certificate signature failure|invalid CA certificate|path length constraint exceeded",
        "is signed with a key that this device does not trust",
        "sign it with the keys whose ca.pem is this device's /etc/rauc/keyring.pem",
    ),
    (
        # All that OpenSSL 3.0 tells a newer rauc of a signature, as on Ubuntu 22.04.
        r"content type not enveloped data",
        "is damaged, or signed with a key that this device does not trust",
        f"{COPY_AGAIN}; if that is the same, sign it with the keys whose ca.pem is this device's /etc/rauc/keyring.pem",
    ),
    (
        r"exceeds bundle size|multiple of 4KiB|Failed to seek|too small|Signature (size|data)|no valid CMS"
        r"|Invalid (bundle )?(format|identifier)",
        "is cut short or is no bundle",
        COPY_AGAIN,
    ),
    (
        r"Unexpected dm-verity status 'V ",
        "cannot be read: this system's rauc is too old for its kernel",
        "it needs rauc 1.15.1 or newer, or a kernel before Linux 6.19; flash it with a newer image",
    ),
    (
        r"corrupt|Verification failed|signature verification failed|verity|digest|Failed to parse"
        r"|Check \S+ device failed|Error reading from file: Input/output error",
        "is damaged",
        COPY_AGAIN,
    ),
    (
        r"(status file|/data/).*No space left",
        "cannot be installed: the data partition is full",
        "remove what lies in /data, such as bundles of before; `df /data` shows how much room there is",
    ),
    (
        r"[Nn]ot (enough|sufficient)|No space left|too large|larger than",
        "does not fit the slot",
        "build a smaller image",
    ),
    (r"Already processing", "cannot be installed: another installation is going on", "wait for its end"),
)


@dataclass(frozen=True)
class BundleInfo:
    """What a bundle with a good signature says of itself."""

    compatible: str
    version: str
    build: str


@dataclass(frozen=True)
class Slot:
    """One of the two root slots."""

    name: str
    bootname: str
    good: bool
    version: str
    installed_at: str


@dataclass(frozen=True)
class Status:
    """Which slot runs, which comes next, and what is in them."""

    running: str
    primary: str
    slots: tuple[Slot, ...]

    @property
    def other(self) -> Slot:
        """The slot that does not run."""
        return next(slot for slot in self.slots if slot.bootname != self.running)

    @property
    def next(self) -> str:
        """The bootname of the slot that the boot loader takes next."""
        return next((slot.bootname for slot in self.slots if slot.name == self.primary), "?")


def refusal(file: Path, said: str) -> UpdateError:
    """What rauc's words mean for a person."""
    error = re.search(r"LastError: (.+)", said)
    words = (error[1] if error else said).replace(str(file), "")  # a file may be called corrupt.raucb
    for pattern, sentence, remedy in REFUSALS:
        if re.search(pattern, words):
            return UpdateError(f"{file} {sentence}", remedy)
    return UpdateError(f"{file} is refused by rauc: {last_line(words)}")


def info(file: Path, options: Sequence[str] = ()) -> BundleInfo:
    """Check a bundle's signature and read what it says of itself.

    Args:
        file: the bundle.
        options: for rauc, such as `--keyring=FILE` where there is no configuration.

    Raises:
        UpdateError: it is not a bundle, or not of somebody whom this device trusts.
    """
    if not file.is_file():
        raise UpdateError(f"{file} is not there")
    done = _rauc("info", *options, "--output-format=json", str(file))
    if done.returncode != 0:
        raise refusal(file, done.stderr)
    said = answer(done.stdout)
    if "update" in said:  # newer versions have a deeper form
        said = said["update"]
    return BundleInfo(said["compatible"], said["version"], said.get("build") or "")


def must_fit(bundle: BundleInfo, system: System, file: Path) -> None:
    """Refuse early and clearly what RAUC's service refuses by the same rules.

    Raises:
        UpdateError: the bundle is for another board, or older than what runs.
    """
    if bundle.compatible != system.compatible:
        raise UpdateError(
            f"{file} is for {bundle.compatible}, this device is {system.compatible}", "take the bundle for this board"
        )
    if older(bundle.version, system.version):
        raise UpdateError(
            f"{file} holds version {bundle.version}, which is older than {system.version} on this device",
            "take a newer one, or go back with `visavis update rollback`",
        )


def install(file: Path) -> None:
    """Write a bundle to the other slot and let the boot loader take that next; returns when that is done.

    Raises:
        UpdateError: it was refused or failed; the running slot is as it was.
    """
    done = _rauc("install", str(file.resolve()))
    if done.returncode != 0:
        raise refusal(file, done.stderr + done.stdout)


def status() -> Status:
    """What RAUC's service knows.

    Raises:
        UpdateError: it does not answer.
    """
    done = _patiently("status", "--detailed", "--output-format=json")
    if done.returncode != 0:
        raise UpdateError(f"rauc does not answer: {last_line(done.stderr)}", LOOK)
    return read_status(answer(done.stdout))


def answer(stdout: str) -> dict[str, Any]:
    """What rauc says in JSON. On Ubuntu 22.04 notes of OpenSSL 3.0 come before it, about a signature that is in order.

    Raises:
        UpdateError: there is no JSON.
    """
    begin = stdout.find("{")
    if begin < 0:
        raise UpdateError(f"rauc gives no answer that can be read: {last_line(stdout)}", LOOK)
    found: dict[str, Any] = json.loads(stdout[begin:])
    return found


def read_status(said: dict[str, Any]) -> Status:
    """What of rauc's JSON matters here."""
    found = ((name, values) for entry in said["slots"] for name, values in entry.items())
    slots = tuple(read_slot(name, values) for name, values in found if values["bootname"])
    return Status(running=said["booted"], primary=said["boot_primary"] or "", slots=slots)


def read_slot(name: str, values: dict[str, Any]) -> Slot:
    """One entry of its list."""
    held = values.get("slot_status") or {}
    return Slot(
        name=name,
        bootname=values["bootname"],
        good=values["boot_status"] == "good",
        version=(held.get("bundle") or {}).get("version") or "",
        installed_at=(held.get("installed") or {}).get("timestamp") or "",
    )


def mark(state: str, slot: str = "booted") -> None:
    """Mark a slot `good`, `bad` or `active` (the next to boot).

    Args:
        state: one of the three.
        slot: `booted`, `other`, or a name such as `rootfs.1`.

    Raises:
        UpdateError: RAUC refuses or does not answer.
    """
    done = _patiently("status", f"mark-{state}", slot)
    if done.returncode != 0:
        raise UpdateError(f"rauc cannot mark the slot {state}: {last_line(done.stderr)}", LOOK)


def _patiently(*words: str) -> subprocess.CompletedProcess[str]:
    """Ask what does no harm when it is asked twice."""
    for _ in range(TRIES):
        done = _rauc(*words)
        if done.returncode == 0 or "Timeout was reached" not in done.stderr:
            break
    return done


def _rauc(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return ran(["rauc", *words])
    except FileNotFoundError as error:
        raise UpdateError(
            "rauc is not installed: this system has no slots to update", "a system of packages is updated with apt"
        ) from error

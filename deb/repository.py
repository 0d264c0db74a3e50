# SPDX-License-Identifier: Apache-2.0
"""Makes a repository that apt believes: `python -m deb.repository --key KEY --url URL`, or `make apt-repo`.

What lies in build/deb is put in order for each Debian, listed by apt-ftparchive and signed by a key of yours. The same
packages make the same lists; only a signature holds its moment, and a list that follows another is dated later. Any web
server can then serve the folder.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from deb.exchange import exchanged
from deb.kept import REPOSITORY
from deb.packing import OUT, commit_time_s

PLACE = REPOSITORY / "build" / "apt"
COMPONENT = "main"
DATE = re.compile(r"^Date: (.*)$", re.MULTILINE)
EXAMPLE = """examples:
  gpg --quick-generate-key "packages for my devices" ed25519 sign 3y      once: it asks for a passphrase
  python -m deb.repository --key "packages for my devices" --url https://host.example/apt
"""
ENDS_SOON_S = 90 * 24 * 3600
EXTEND = (
    "`{}`, make the repository again, and copy the new visavis-SUITE.sources to "
    "each device, best before the old end: a device believes the end that its own file holds"
)
# A line for each key that gpg has, or can sign with, and for each subkey: what it is, its end, and, in a line that
# follows, its fingerprint.
KEYS = re.compile(
    r"^(pub|sub|sec|ssb):(?:[^:]*:){5}(\d*):.*\n(?:(?!fpr:).*\n)*?fpr:(?:[^:]*:){8}([0-9A-F]+):", re.MULTILINE
)


class RepositoryError(Exception):
    """What is missing, and what to do."""


@dataclass(frozen=True)
class Signer:
    """The key that is meant, and of its subkeys the one that alone is to sign: `KEY!`, as gpg writes it."""

    key: str
    subkey: str = ""

    def __str__(self) -> str:
        return f"{self.subkey}!" if self.subkey else self.key

    def extend(self) -> str:
        """What to do before it ends."""
        return EXTEND.format(f"gpg --quick-set-expire {self.key} 3y {self.subkey}".rstrip())


def main() -> int:
    """Make the repository of the command line; prints what an owner copies to a device."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--key",
        required=True,
        help="who signs: name, address or fingerprint of a key that gpg has; FINGERPRINT! for one of its subkeys alone",
    )
    parser.add_argument("--url", required=True, help="where devices will find it, http(s):// or file:///")
    parser.add_argument("--packages", type=Path, default=OUT, metavar="DIR", help="default: build/deb")
    parser.add_argument("--out", type=Path, default=PLACE, metavar="DIR", help="default: build/apt")
    wanted = parser.parse_args()
    try:
        for file in make(wanted.packages, wanted.out, wanted.key, wanted.url):
            print(file)
        if warning := ending(signer_of(wanted.key), time.time()):
            print(f"repository: {warning}", file=sys.stderr)
    except RepositoryError as error:
        print(f"repository: {error}", file=sys.stderr)
        return 1
    return 0


def make(packages: Path, out: Path, key: str, url: str) -> list[Path]:
    """Write the whole repository anew and return each Debian's .sources file. Until it is signed, the old one stays."""
    signer = signer_of(key)
    public = public_key(signer)
    suites = by_suite(sorted(packages.glob("*.deb")))
    if not suites:
        raise RepositoryError(f"there is no package in {packages}: run `make deb`")
    with exchanged(out) as draft:
        for suite, files in suites.items():
            add(draft, suite, files)
            date(draft / "dists" / suite / "Release", out / "dists" / suite / "Release")
            sign(draft / "dists" / suite / "Release", signer)
        names = [sources(draft, suite, url, public).name for suite in suites]
    return [out / name for name in names]


def by_suite(packages: list[Path]) -> dict[str, list[Path]]:
    """The packages for each system: their versions end with its name, and those for every system go to all."""
    named = {file: re.search(r"[+~]([a-z]+)_", file.name) for file in packages}
    suites = sorted({found[1] for found in named.values() if found})
    return {suite: [file for file, found in named.items() if not found or found[1] == suite] for suite in suites}


def add(out: Path, suite: str, files: list[Path]) -> None:
    """Put the packages of one Debian into the pool, and write its lists and Release."""
    pool = out / "pool" / suite
    pool.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, pool / file.name)
    architectures = sorted({file.stem.rpartition("_")[2] for file in files} - {"all"})
    for architecture in architectures:
        folder = out / "dists" / suite / COMPONENT / f"binary-{architecture}"
        folder.mkdir(parents=True)
        listed = ftparchive(out, f"--arch={architecture}", "packages", f"pool/{suite}")
        text = "\n\n".join(sorted(listed.strip().split("\n\n"))) + "\n"
        (folder / "Packages").write_text(text)
        (folder / "Packages.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    (out / "dists" / suite / "Release").write_text(release(out, suite, architectures))


def release(out: Path, suite: str, architectures: list[str]) -> str:
    """The sums of the lists."""
    facts = {
        **{"Origin": "visavis", "Label": "visavis", "Suite": suite, "Codename": suite},
        **{"Architectures": " ".join(architectures), "Components": COMPONENT},
    }
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in facts.items()]
    return ftparchive(out, *options, "release", f"dists/{suite}")


def date(new: Path, old: Path) -> None:
    """Give a Release the time of the commit, or a later one, so that it is later than the old one of other packages.

    An earlier one is no news to apt: without a word it keeps the lists that it has, and asks for what is gone.
    """
    text = new.read_text()
    before = old.read_text() if old.exists() else ""
    # A commit may come from a clock that is ahead, and apt refuses such a time.
    time_s = min(commit_time_s(), int(time.time()))
    if then := DATE.search(before):
        then_s = int(parsedate_to_datetime(then[1]).timestamp())
        time_s = then_s if DATE.sub("", text) == DATE.sub("", before) else max(time_s, then_s + 1)
    new.write_text(DATE.sub(f"Date: {formatdate(time_s, usegmt=True)}", text))


def ftparchive(out: Path, *words: str) -> str:
    command = ["apt-ftparchive", "-oAPT::FTPArchive::AlwaysStat=true", *words]
    return subprocess.run(command, cwd=out, capture_output=True, text=True, check=True).stdout


def listed(what: str, key: str) -> list[tuple[str, str, str]]:
    """Of each key and subkey what it is, its end and its fingerprint."""
    command = ["gpg", "--batch", "--with-colons", f"--list-{what}", key]
    return KEYS.findall(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def signer_of(key: str) -> Signer:
    """The one key that is meant: gpg takes a part of a name for every key that has it, and devices would believe all.

    Raises:
        RepositoryError: there is none, or more than one.
    """
    secret = listed("secret-keys", key)
    found = [fingerprint for kind, _, fingerprint in secret if kind == "sec"]
    if not found:
        raise RepositoryError(no_key(key))
    if len(found) > 1:
        raise RepositoryError(
            f'"{key}" is in the names of {len(found)} keys that gpg has: give the fingerprint of the one that is to '
            f"sign, {' or '.join(found)}"
        )
    return Signer(found[0], exact(key, [fingerprint for _, _, fingerprint in secret]) if key.endswith("!") else "")


def no_key(key: str) -> str:
    if key.endswith("!"):  # which holds for fingerprints alone
        remedy = 'before the "!" stands a fingerprint, see `gpg -K --with-subkey-fingerprint`'
    else:
        remedy = f'gpg --quick-generate-key "{key}" ed25519 sign 3y'
    return f'gpg has no key "{key}" to sign with: {remedy}'


def exact(key: str, fingerprints: list[str]) -> str:
    """Which of a key and its subkeys is meant; its end is enough for gpg, too.

    Raises:
        RepositoryError: none or more than one has that end.
    """
    digits = "".join(key[:-1].split()).upper().removeprefix("0X")
    found = [fingerprint for fingerprint in fingerprints if fingerprint.endswith(digits)]
    if len(found) != 1:
        raise RepositoryError(no_key(key))
    return found[0]


def public_key(signer: Signer) -> str:
    """The key that devices check with, as text."""
    command = ["gpg", "--batch", "--armor", "--export", str(signer)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ending(signer: Signer, now_s: float) -> str:
    """What to do about a key that ends soon: every device holds its own copy, with the old end."""
    ends = [
        int(end)
        for kind, end, fingerprint in listed("keys", signer.key)
        if end and (kind == "pub" or fingerprint == signer.subkey)
    ]
    if not ends or min(ends) - now_s > ENDS_SOON_S:
        return ""
    day = time.strftime("%-d %B %Y", time.gmtime(min(ends)))
    return f"the key {signer} ends on {day}, and devices then take nothing more: {signer.extend()}"


def sign(file: Path, signer: Signer) -> None:
    """Sign as apt wants it: within the text, and beside it."""
    for how, signed in ((["--clear-sign"], "InRelease"), (["--detach-sign", "--armor"], "Release.gpg")):
        into = ["--output", str(file.with_name(signed)), str(file)]
        gpg = ["gpg", "--batch", "--yes", "--local-user", str(signer), *how, *into]
        if subprocess.run(gpg, check=False).returncode != 0:
            raise RepositoryError(
                f"gpg has not signed with the key {signer}, so nothing was changed: mend what it says above and do "
                f"this again. If the key has expired: {signer.extend()}"
            )


def sources(out: Path, suite: str, url: str, public: str) -> Path:
    """What an owner puts into /etc/apt/sources.list.d: the address, and the one key that is believed for it."""
    key = "\n".join(f" {line or '.'}" for line in public.strip().splitlines())
    file = out / f"visavis-{suite}.sources"
    file.write_text(f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {COMPONENT}\nSigned-By:\n{key}\n")
    return file


if __name__ == "__main__":
    sys.exit(main())

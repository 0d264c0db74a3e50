# SPDX-License-Identifier: Apache-2.0
"""The keys that sign Ubuntu's archive, which Debian does not have: Ubuntu's own package of them, whose sum we know.

They are those of 2012 and 2018, whose fingerprints Ubuntu publishes: 790BC7277767219C42C86F933B4FE6ACC0B21F32 and
F6ECB3762474EDA9D21B7022871920D1991BC93C.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from deb import pinned
from deb.kept import kept

PACKAGE = "http://archive.ubuntu.com/ubuntu/pool/main/u/ubuntu-keyring/ubuntu-keyring_2021.03.26_all.deb"
SHA256 = "0d0e7ed6b112f5d03eabf3c7eb01ebdacf9c57714b279e90495cfc58c8c4520f"
INSIDE = "usr/share/keyrings/ubuntu-archive-keyring.gpg"
SUITES = ("jammy", "noble")


def keyring() -> Path:
    """The file with the keys; fetched once.

    Raises:
        PinnedError: the archive gave another file, or cannot be reached.
    """
    return kept(f"ubuntu-keys-{SHA256[:16]}", fetch) / INSIDE


def fetch(folder: Path) -> None:
    """Unpack the package of keys into a folder."""
    file = folder / "keys.deb"
    file.write_bytes(pinned.content([PACKAGE], SHA256))
    subprocess.run(["dpkg-deb", "--extract", str(file), str(folder)], check=True)


def options(suite: str) -> list[str]:
    """What mmdebstrap has to be told about a release of Ubuntu; nothing for Debian's."""
    if suite not in SUITES:
        return []
    return ["--components=main,universe", f"--keyring={keyring()}", '--aptopt=Acquire::Retries "20"']

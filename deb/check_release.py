# SPDX-License-Identifier: Apache-2.0
"""Checks a release, or those of its files that were fetched: 1 when one is not as it was signed.

It needs Python and openssl, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deb.attestation import AttestationError, opened, openssl
from deb.pinned import sum_of

STATEMENT, CERTIFICATE = "visavis.intoto.json", "signing.pem"
OWN = {STATEMENT, CERTIFICATE}
EXAMPLE = """examples:
  python3 -m deb.check_release build/release --trust ca.pem
"""


def main() -> int:
    """Check what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the files lie, with the statement and signing.pem")
    parser.add_argument("--trust", type=Path, required=True, help="certificate of the authority: ca.pem")
    wanted = parser.parse_args()
    try:
        print(check(wanted.folder, wanted.trust))
    except (AttestationError, OSError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def check(folder: Path, authority: Path) -> str:
    """Hold every file that is in a folder against the statement there, and say what they are.

    Raises:
        AttestationError: a file is another, one too many, or none is there; or an authority that is not ours signed.
    """
    trusted(folder / CERTIFICATE, authority)
    try:
        envelope = json.loads((folder / STATEMENT).read_text())
    except (OSError, ValueError) as error:
        raise AttestationError(f"{folder / STATEMENT} cannot be read: {error}") from error
    said = opened(envelope, folder / CERTIFICATE)
    sums = sums_of(said)
    there = {file.name for file in folder.iterdir()} - OWN
    if faults := list(differing(folder, there, sums)):
        raise AttestationError("; ".join(faults))
    absent = f", {len(set(sums) - there)} more are not here" if set(sums) - there else ""
    return f"{len(there)} files are as they were signed{absent}: {source_of(said)}"


def trusted(certificate: Path, authority: Path) -> None:
    """Raise unless this authority, and not just one that this system knows, gave a certificate that counts today."""
    alone = ("-no-CApath", "-no-CAstore", "-purpose", "smimesign")
    openssl("verify", *alone, "-CAfile", str(authority), str(certificate))


def sums_of(said: Mapping[str, Any]) -> dict[str, str]:
    """File name -> SHA-256, as a statement says."""
    return {one["name"]: one["digest"]["sha256"] for one in said["subject"]}


def differing(folder: Path, there: set[str], sums: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the files; a name may be anybody's, and is not printed as it is."""
    if not there:
        yield f"none of the {len(sums)} files of the statement is in {folder}"
    for name in sorted(there - set(sums)):
        yield f"the statement does not name {name!r}: remove it"
    for name in sorted(there & set(sums)):
        if not (folder / name).is_file() or sum_of(folder / name) != sums[name]:
            yield f"{name!r} is not the file that was signed: fetch it again"


def source_of(said: Mapping[str, Any]) -> str:
    """The version and the commit in a statement."""
    (source,) = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    return f"{source['uri']} of commit {source['digest']['gitCommit']}"


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Makes a release that can be checked wherever its files have been: packages, images, bundles, and one statement.

The statement holds the sum of each file and the commit that all were made from, signed with an owner's keys for
updates. Whoever trusts that owner's authority finds out any file that is another (`python3 -m deb.check_release`).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from deb import golang
from deb.attestation import AttestationError, named, signed, statement
from deb.build import packages
from deb.bundled import PartError
from deb.check_release import CERTIFICATE, OWN, STATEMENT, check, sums_of, trusted
from deb.exchange import exchanged
from deb.kept import REPOSITORY
from deb.packing import commit_time_s, current_version, git, maintainer
from deb.pinned import sum_of
from image import build
from image.boards import BOARDS
from image.errors import ImageError

PLACE = REPOSITORY / "build" / "release"
# What Python, tests and owners of fleets leave there, and no package takes.
LEFT = ("__pycache__/", "/testdata/rapid/", "!! ansible/")
MOST_NAMED = 3
EXAMPLE = """examples:
  visavis update keys visavis-keys                                once: they sign updates as well
  make release KEYS=visavis-keys                                  packages for Debian 12 and 13
  make release KEYS=visavis-keys BOARDS="rpi5 generic-amd64"      and two images with their bundles, as root
  python3 -m deb.check_release build/release --trust visavis-keys/ca.pem
"""


def main() -> int:
    """Make the release of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=Path, required=True, help="folder that `visavis update keys` has made")
    parser.add_argument("--boards", nargs="*", choices=BOARDS, default=[], help="images to make, with a bundle each")
    parser.add_argument("--out", type=Path, default=PLACE, metavar="DIR", help="default: build/release")
    try:
        print(make(parser.parse_args()))
    except (AttestationError, ImageError, PartError, OSError, ValueError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: {error.cmd[0]} failed: {error.stderr or 'it says above why'}", file=sys.stderr)
        return 1
    return 0


def make(wanted: Namespace) -> str:
    """Make all files, put them in place of the former release, and say what they are.

    Raises:
        AttestationError: the tree holds what no commit has, a key will not do, or something else lies at the place.
        ImageError: an image cannot be made here.
    """
    ready(wanted)
    commit = git("rev-parse", "HEAD")
    return publish(built(wanted.boards, wanted.keys, commit), commit, wanted.keys, wanted.out)


def ready(wanted: Namespace) -> None:
    """Say at once what would be refused after hours of building.

    Raises:
        AttestationError, ImageError: as `make`.
    """
    unchanged(git("rev-parse", "HEAD"))
    for name in ("ca.pem", "signing.key", "signing.pem"):
        if not (wanted.keys / name).is_file():
            raise AttestationError(f"{wanted.keys / name} is missing: `visavis update keys {wanted.keys}` makes keys")
    signed({}, wanted.keys / "signing.key", wanted.keys / "signing.pem")
    trusted(wanted.keys / "signing.pem", wanted.keys / "ca.pem")
    free(wanted.out)
    for board in wanted.boards:
        build.check(BOARDS[board], wanted.keys / "ca.pem")
        if shutil.which("rauc") is None:
            raise ImageError("rauc, which makes bundles, is missing; `scripts/setup.sh vm` installs it")


def unchanged(commit: str) -> None:
    """Raise unless the tree is that commit and nothing else that a build would take."""
    folders = git("ls-tree", "-d", "--name-only", "HEAD").splitlines()
    looks = ("--untracked-files=all", "--ignored=traditional")
    found = [*git("status", "--porcelain", "--untracked-files=all").splitlines()]
    found += git("status", "--porcelain", *looks, "--", *folders).splitlines() if folders else []
    found += [line for line in git("ls-files", "-v").splitlines() if line[0] == "S" or line[0].islower()]
    changed = sorted({line.split(maxsplit=1)[1] for line in found if not any(left in line for left in LEFT)})
    if changed:
        names = ", ".join(changed[:MOST_NAMED]) + (", ..." if changed[MOST_NAMED:] else "")
        raise AttestationError(f"the tree differs from the commit that the statement would name ({names}): clone it")
    if git("rev-parse", "HEAD") != commit:
        raise AttestationError(f"something else than {commit} was checked out while it was built: do this in a clone")


def free(out: Path) -> None:
    """Raise if there is something in `out` that is of no release of ours."""
    if not out.exists():
        return
    named_there: set[str] = set()
    with suppress(OSError, ValueError, KeyError, TypeError):  # no statement, or none of ours
        named_there = set(sums_of(json.loads(base64.b64decode(json.loads((out / STATEMENT).read_text())["payload"]))))
    if strange := sorted({file.name for file in out.iterdir()} - named_there - OWN):
        raise AttestationError(f"{out} holds {strange[0]!r}, which is of no release: name another place with --out")


def built(boards: Iterable[str], keys: Path, commit: str) -> Iterator[tuple[str, Path]]:
    """Make the files one by one; yields the name of each in the release, and where it is."""
    for file in packages():
        yield file.name, file
    for board in boards:
        yield from image(board, keys)
    unchanged(commit)


def image(board: str, keys: Path) -> Iterator[tuple[str, Path]]:
    """Make the image of a board that takes updates signed with `keys`, the list of its parts, and its bundle."""
    made = build.run(Namespace(board=board, keyring=keys / "ca.pem", relock=False, out=build.OUT))
    bundle = made.with_name(f"visavis-{board}-{current_version()}.raucb")
    command: list[str | Path] = [sys.executable, "-m", "visavis.cli", "update", "bundle"]
    command += [made.with_name("rootfs.squashfs"), "--board", board, "--keys", keys, "--out", bundle]
    for boot in made.parent.glob("boot.*"):
        command += ["--boot", boot]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(commit_time_s())}
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    yield f"{made.name}.zst", Path(f"{made}.zst")
    yield f"visavis-{board}.cdx.json", made.with_name("sbom.cdx.json")
    yield bundle.name, bundle


def publish(files: Iterable[tuple[str, Path]], commit: str, keys: Path, out: Path) -> str:
    """Put files and their statement in place of the former release; until all is signed and checked, that one stays.

    Args:
        files: name in the release and where it is; each is copied as it comes, for a later build writes there again.
        commit: git's full name of what they were made from.
    """
    with exchanged(out) as draft:
        draft.mkdir(parents=True)
        for name, file in files:
            shutil.copyfile(file, draft / name)
        sums = {file.name: sum_of(file) for file in draft.iterdir()}
        given = {"version": current_version(), "maintainer": maintainer(), "go": golang.version()}
        said = statement(sums, commit, given, named(keys / "ca.pem"))
        envelope = signed(said, keys / "signing.key", keys / "signing.pem")
        shutil.copyfile(keys / "signing.pem", draft / CERTIFICATE)
        (draft / STATEMENT).write_text(json.dumps(envelope, indent=1) + "\n")
        free(out)  # hours have passed
        return check(draft, keys / "ca.pem")


if __name__ == "__main__":
    sys.exit(main())

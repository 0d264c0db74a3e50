# SPDX-License-Identifier: Apache-2.0
"""Turns a folder into a Debian package with nfpm; the same folder and commit make the same bytes."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deb import golang
from deb.kept import REPOSITORY

# nfpm and all that it is made of are pinned there.
TOOLS = REPOSITORY / "scripts" / "tools"
OUT = REPOSITORY / "build" / "deb"
SCRIPTS = {"preinst": "preinstall", "postinst": "postinstall", "prerm": "preremove", "postrm": "postremove"}
PROGRAMS = ("usr/bin", "usr/sbin", "usr/lib/visavis-tensorrt", "usr/share/rauc")


@dataclass(frozen=True)
class Package:
    """What apt is told of a package.

    Attributes:
        description: one line, and below it what the package is.
        settings: files below the root that belong to their owner once they are installed.
        folders: empty ones that the package has.
        woken_by: dpkg triggers of other packages; postinst is called again with "triggered" at each.
        source: the folder debian/ of a program of others, for its copyright and changelog.
    """

    name: str
    architecture: str
    version: str
    section: str
    description: str
    depends: tuple[str, ...]
    recommends: tuple[str, ...] = ()
    suggests: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    woken_by: tuple[str, ...] = ()
    source: Path | None = None

    @property
    def file_name(self) -> str:
        return f"{self.name}_{self.version}_{self.architecture}.deb"


def pack(package: Package, root: Path, out: Path = OUT) -> Path:
    """Write the package of what lies below `root` and return its file."""
    documents(package, root)
    age(root)
    file = out / package.file_name
    recipe = out / f"{root.name}.json"
    recipe.write_text(json.dumps(nfpm_recipe(package, root), indent=2))
    command = ["go", "tool", "nfpm", "package", "--config", str(recipe), "--packager", "deb", "--target", str(file)]
    environment = {**golang.environment(), "SOURCE_DATE_EPOCH": str(commit_time_s())}
    subprocess.run(command, cwd=TOOLS, env=environment, check=True, stdout=sys.stderr)
    return file


def nfpm_recipe(package: Package, root: Path) -> dict[str, Any]:
    """nfpm's own configuration: YAML, of which JSON is a part."""
    contents: list[dict[str, str]] = [{"src": f"{root}/usr/", "dst": "/usr/", "type": "tree"}]
    contents += [{"src": str(root / file), "dst": f"/{file}", "type": "config|noreplace"} for file in package.settings]
    contents += [{"dst": f"/{folder}", "type": "dir"} for folder in package.folders]
    scripts = REPOSITORY / "deb" / "scripts" / package.name
    return {
        "name": package.name,
        "arch": package.architecture,
        "version": package.version,
        "version_schema": "none",
        "section": package.section,
        "priority": "optional",
        "maintainer": maintainer(),
        "description": package.description,
        **{kind: list(getattr(package, kind)) for kind in ("depends", "recommends", "suggests")},
        "contents": contents,
        "scripts": {key: str(scripts / name) for name, key in SCRIPTS.items() if (scripts / name).exists()},
        "deb": {"compression": "gzip", "triggers": {"interest_noawait": list(package.woken_by)}},
    }


def documents(package: Package, root: Path) -> None:
    """What Debian wants in every package."""
    folder = root / "usr/share/doc" / package.name
    put(copyright_of(package), folder / "copyright")
    (root / "usr/share/lintian/overrides").mkdir(parents=True)
    (root / "usr/share/lintian/overrides" / package.name).write_text(overrides(package.name))
    name = "changelog.Debian.gz" if package.source else "changelog.gz"
    compress(news(package).encode(), folder / name)


def copyright_of(package: Package) -> Path:
    """The copyright of others' program, of a package of ours that holds what others made, or of one that does not."""
    own = REPOSITORY / "deb" / "scripts" / package.name / "copyright"
    if package.source:
        return package.source / "copyright"
    return own if own.exists() else REPOSITORY / "deb" / "copyright"


def news(package: Package) -> str:
    """The changelog that Debian wants; below it the one of whoever the program is from."""
    head = f"{package.name} ({package.version}) stable; urgency=medium\n\n  * See the project's CHANGELOG.md.\n\n"
    own = f"{head} -- {maintainer()}  {git('log', '-1', '--format=%cD')}\n"
    return f"{own}\n{(package.source / 'changelog').read_text()}" if package.source else own


def overrides(name: str) -> str:
    """What lintian says of every package of ours, and of this one, and why it is to stay so."""
    ours = REPOSITORY / "deb"
    files = (ours / "lintian-overrides", ours / "scripts" / name / "lintian-overrides")
    return "".join(file.read_text() for file in files if file.exists())


def compress(text: bytes, file: Path) -> None:
    """Write a file that gzip made, without name and time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text, 9, mtime=0))


def put(source: Path, place: Path) -> None:
    """Copy a file to where folders may be missing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def age(root: Path) -> None:
    """Give every file the time of the commit and the plain modes, whatever umask this shell has."""
    when = commit_time_s()
    programs = [root / folder for folder in PROGRAMS]
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent in programs else 0o644)
        os.utime(path, (when, when), follow_symlinks=False)


def empty(name: str, out: Path = OUT) -> Path:
    """An empty folder to fill."""
    root = out / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    return root


def current_version() -> str:
    """The version in pyproject.toml."""
    (found,) = re.findall(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    return str(found)


def maintainer() -> str:
    """Who builds it, as Debian's own tools ask for it."""
    return f"{os.environ.get('DEBFULLNAME', 'visavis')} <{os.environ.get('DEBEMAIL', 'visavis@localhost')}>"


def commit_time_s() -> int:
    return int(git("log", "-1", "--format=%ct"))


def git(*words: str) -> str:
    """What git says of this repository."""
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()

# SPDX-License-Identifier: Apache-2.0
"""The licences and notices of what is compiled into the daemon, in one text, and whether Python packages have theirs.

A module's texts are those in the folders of the packages that are really compiled, and in those above them.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple

from deb import golang
from deb.bundled import PartError
from deb.kept import REPOSITORY

# Eclipse names its two after themselves.
TEXT = re.compile(r"((un)?licen[cs]e|copying|notice|patents|(edl|epl)-v\d+)([.-].*)?", re.IGNORECASE)
SOURCE = frozenset({".go", ".py", ".c", ".h"})
# Where the text of a Python package lies whose own folder of metadata has none; an absolute path is of the system's.
ELSEWHERE = {"onnxruntime": "onnxruntime/LICENSE", "flatbuffers": "/usr/share/common-licenses/Apache-2.0"}
DOCUMENTS = Path("/usr/share/doc")
COMPILED = (
    "{{if .Standard}}go\t\t{{context.GOROOT}}\t{{.Dir}}"
    "{{else if not .Module.Main}}{{with or .Module.Replace .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}\t{{.Dir}}"
    "{{end}}"
)
HEAD = "The licences and notices of what is compiled into /usr/bin/visavis-capture.\n"


class Compiled(NamedTuple):
    """A folder of Go source, and the module that it is of; `go` itself has no version here."""

    module: str
    version: str
    root: Path
    folder: Path


def of_daemon(program: Path, environment: Mapping[str, str], tags: str) -> str:
    """The text for a program that was compiled so.

    Raises:
        PartError: a module in it has none.
    """
    command = ["go", "list", "-deps", "-tags", tags, "-f", COMPILED, "./cmd/visavis-capture"]
    said = subprocess.run(
        command, cwd=REPOSITORY / "go-capture", env=environment, capture_output=True, text=True, check=True
    ).stdout
    return one_text(golang.modules(program), list(compiled(said)))


def compiled(said: str) -> Iterator[Compiled]:
    """What `go list` says of each package; it leaves a line empty for those of ours."""
    for line in filter(None, said.splitlines()):
        module, version, root, folder = line.split("\t")
        yield Compiled(module, version, Path(root), Path(folder))


def one_text(modules: Iterable[golang.Module], packages: list[Compiled]) -> str:
    """All texts, and above each whose it is; what several have stands once."""
    owners: dict[str, list[str]] = {}
    for module in sorted(modules):
        for file, name in sorted(texts_of(module, packages).items()):
            owners.setdefault(file.read_text("utf-8").strip(), []).append(f"{module.path} {module.version}: {name}")
    parts = ("\n".join(["", "", "=" * 40, *names, "=" * 40, "", text, ""]) for text, names in owners.items())
    return HEAD + "".join(parts)


def texts_of(module: golang.Module, packages: list[Compiled]) -> dict[Path, str]:
    """The files of a module's texts, with the name of each below its root.

    Raises:
        PartError: it has none of its own, whatever those have that it took source from.
    """
    own = [package for package in packages if package.module == module.path and package.version in (module.version, "")]
    found = {file: str(file.relative_to(package.root)) for package in own for file in texts_above(package)}
    if not has_own(found):
        found |= debians(module)
    if not has_own(found):
        raise PartError(f"{module.path} {module.version} has no text of its licence: do not ship it so")
    return found


def has_own(found: Mapping[Path, str]) -> bool:
    return any("/" not in name for name in found.values())


def texts_above(package: Compiled) -> Iterator[Path]:
    """The texts in a package's folder and in those above it, up to its module's."""
    for folder in (package.folder, *package.folder.parents):
        yield from texts_in(folder.glob("*"))
        if folder == package.root:
            return


def texts_in(files: Iterable[Path]) -> Iterator[Path]:
    return (file for file in files if TEXT.fullmatch(file.name) and file.suffix not in SOURCE and file.is_file())


def debians(module: golang.Module) -> dict[Path, str]:
    """Debian's Go has its licence where Debian has them all."""
    release = ".".join(module.version.split(".")[:2])
    files = DOCUMENTS.glob(f"golang-{release}-src/copyright") if module.path == golang.ITSELF else ()
    return {file: file.name for file in files}


def must_be_with_python(site: Path) -> None:
    """Raise unless every Python package in a folder has a text of its licence.

    Raises:
        PartError: one has none.
    """
    for metadata in sorted(site.glob("*.dist-info/METADATA")):
        name = HeaderParser().parsestr(metadata.read_text())["Name"]
        elsewhere = name in ELSEWHERE and (site / ELSEWHERE[name]).is_file()
        if not elsewhere and not any(texts_in(metadata.parent.rglob("*"))):
            raise PartError(f"{name} has no text of its licence: add one, and name it in deb/licences.py")

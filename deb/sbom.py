# SPDX-License-Identifier: Apache-2.0
"""The list of everything in a root file system or a package, as CycloneDX: Debian's packages, Python's and Go's.

Each list is read where its own tools wrote it: dpkg's status, the metadata beside each Python package, and what Go puts
into the daemon. A lock adds the sums of Debian's packages.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.parser import HeaderParser
from pathlib import Path
from uuid import UUID, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Commit, Component, ComponentType, Pedigree
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deb.packing import git

INSIDE = "usr/share/visavis/sbom.cdx.json"
DAEMON = "usr/bin/visavis-capture"


def of_system(root: Path, about: Component, sums: Mapping[str, str], time_s: int) -> bytes:
    """List what is in the root of a whole system.

    Args:
        sums: file name of a Debian package -> its SHA-256.
        time_s: seconds since 1970 that the list gives as its own time.
    """
    return document(about, [*packages(root, sums), *of_product(root)], time_s)


def of_product(root: Path) -> list[Component]:
    """What the daemon and the Python home below `root` are made of."""
    return [*python(root), *go(root / DAEMON)]


def product(name: str, version: str, kind: ComponentType = ComponentType.FIRMWARE) -> Component:
    """What the list is about, with the commit that it was made from; `-dirty` follows if the tree had changes."""
    pedigree = Pedigree(commits=[Commit(uid=git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"))])
    return Component(name=name, version=version, type=kind, bom_ref=f"{name}@{version}", pedigree=pedigree)


def document(about: Component, components: list[Component], time_s: int) -> bytes:
    """The list as JSON; the same content makes the same bytes."""
    when = datetime.fromtimestamp(time_s, timezone.utc)
    bom = Bom(components=components, metadata=BomMetaData(component=about, timestamp=when))
    bom.register_dependency(about, components)
    names = " ".join(sorted(str(component.purl) for component in components))
    bom.serial_number = uuid5(UUID(int=0), f"{about.name} {about.version} {time_s} {names}")
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def component(url: PackageURL, sha256: str = "") -> Component:
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
    name = f"{url.namespace}/{url.name}" if url.type == "golang" and url.namespace else url.name
    return Component(
        name=name, version=url.version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string(), hashes=hashes
    )


def packages(root: Path, sums: Mapping[str, str]) -> Iterator[Component]:
    """What dpkg has installed; what is not in `sums`, as the product's own package, has none here."""
    system = release(root)
    for paragraph in (root / "var/lib/dpkg/status").read_text().strip().split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields["Status"] != "install ok installed":
            continue
        name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
        file = f"{name}_{version.rpartition(':')[2]}_{architecture}.deb"
        where = {"arch": architecture, "distro": system["VERSION_CODENAME"]}
        maker = "nvidia" if "NVIDIA" in fields.get("Maintainer", "") else system["ID"]
        yield component(PackageURL("deb", maker, name, version, where), sums.get(file, ""))


def release(root: Path) -> dict[str, str]:
    """What a root says of itself in os-release."""
    rows = [line.partition("=") for line in (root / "usr/lib/os-release").read_text().splitlines() if "=" in line]
    return {name: value.strip('"') for name, _, value in rows}


def python(root: Path) -> Iterator[Component]:
    """What lies in the product's Python home."""
    for metadata in sorted((root / "usr/lib/visavis/lib").glob("python*/site-packages/*.dist-info/METADATA")):
        fields = HeaderParser().parsestr(metadata.read_text())
        yield component(PackageURL("pypi", None, fields["Name"].lower(), fields["Version"]))


def go(program: Path) -> Iterator[Component]:
    """What the daemon was compiled from, the language's own library included."""
    said = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=True).stdout
    yield from go_modules(said)


def go_modules(said: str) -> Iterator[Component]:
    """The modules in the words of `go version -m`; one that stands in for another has a line with => of its own."""
    rows = [line.split() for line in said.splitlines()]
    version = rows[0][-1].removeprefix("go")
    yield component(PackageURL("golang", None, "stdlib", version))
    for row, after in zip(rows, [*rows[1:], ["", ""]], strict=True):
        if (row[0] == "dep" and after[0] != "=>") or row[0] == "=>":
            namespace, _, name = row[1].rpartition("/")
            yield component(PackageURL("golang", namespace or None, name, row[2]))

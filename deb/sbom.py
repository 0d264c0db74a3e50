# SPDX-License-Identifier: Apache-2.0
"""The list of everything in a root file system or a package, as CycloneDX: Debian's packages, Python's and Go's.

Each list is read where its own tools wrote it: dpkg's status, the metadata beside each Python package, and what Go puts
into the daemon. A lock adds the sums of Debian's packages. What Python packages bring besides Python, a model and
libraries of others, is read from the files.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from email.parser import HeaderParser
from pathlib import Path
from uuid import UUID, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Commit, Component, ComponentType, Pedigree
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from visavis.models.manifest import entries

from deb import bundled, completion, golang
from deb.packing import git
from deb.pinned import sum_of
from deb.python_home import HOME

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
    site = root / HOME / "lib"
    libraries = [part for folder in site.glob("python*/site-packages") for part in bundled.libraries(folder)]
    return [*python(root), *libraries, *models(root), *completion_scripts(root), *go(root / DAEMON)]


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
    for metadata in sorted((root / HOME / "lib").glob("python*/site-packages/*.dist-info/METADATA")):
        fields = HeaderParser().parsestr(metadata.read_text())
        yield component(PackageURL("pypi", None, fields["Name"].lower(), fields["Version"]))


def models(root: Path) -> Iterator[Component]:
    """The models that are inside a Python package."""
    for name, entry in sorted(entries().items()):
        for file in root.glob(f"{HOME}/lib/python*/site-packages/{entry.file}") if entry.package else ():
            (metadata,) = file.parents[entry.file.count("/")].glob(f"{entry.package}-*.dist-info")
            version = metadata.name.removesuffix(".dist-info").rpartition("-")[2]
            yield Component(
                name=name,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                purl=PackageURL("pypi", None, entry.package, version, None, entry.file),
                bom_ref=f"model {name}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sum_of(file))],
                licenses=[LicenseExpression(entry.licence)],
            )


def completion_scripts(root: Path) -> Iterator[Component]:
    """The program whose own words are in the scripts for shells, if they are there."""
    if any((root / place).exists() for place in completion.PLACES.values()):
        yield component(PackageURL("pypi", None, "shtab", importlib.metadata.version("shtab")))


def go(program: Path) -> Iterator[Component]:
    """What the daemon was compiled from, the language's own library included."""
    return go_modules(golang.modules(program))


def go_modules(modules: Iterable[golang.Module]) -> Iterator[Component]:
    for module in modules:
        path = "stdlib" if module.path == golang.ITSELF else module.path
        namespace, _, name = path.rpartition("/")
        yield component(PackageURL("golang", namespace or None, name, module.version))

# SPDX-License-Identifier: Apache-2.0
"""The native libraries of others that Python packages bring, and what else their makers say is in them.

A library's version is what it says of itself, else what its wheel's own list of parts has, else the number in the
file's name. What its makers have linked into it without a word cannot be seen here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from packageurl import PackageURL

from deb.pinned import sum_of

LGPL, GPL_OF_GCC = "LGPL-2.1-or-later", "GPL-3.0-or-later WITH GCC-exception-3.1"


class PartError(Exception):
    """A part of a package is of nobody that we know, or has no licence; the sentence says what to do."""


class Project(NamedTuple):
    """Who makes a library.

    Attributes:
        name: as lists of faults have it.
        licence: as SPDX writes it; its text is in the wheel, or in deb/scripts/visavis/copyright.
        says: how its version stands in the file, if it does.
        cpe: vendor and product in the national database of faults (NVD).
    """

    name: str
    licence: str
    says: bytes = b""
    cpe: str = ""


FFMPEG = Project("ffmpeg", LGPL, rb"FFmpeg version ([\d.]+)", "ffmpeg:ffmpeg")
OPENSSL = Project("openssl", "OpenSSL", rb"OpenSSL (\d[\w.]+) ", "openssl:openssl")
OPENBLAS = Project("openblas", "BSD-3-Clause AND BSD-3-Clause-Open-MPI", rb"OpenBLAS (\d[\d.]+)")
# By the first word of the file's name.
PROJECTS = {
    "libaom": Project("aom", "BSD-2-Clause", rb"AV1 Decoder (\d[\d.]+)", "aomedia:aomedia"),
    "libavcodec": FFMPEG,
    "libavformat": FFMPEG,
    "libavif": Project("libavif", "BSD-2-Clause", rb"\0(\d+\.\d+\.\d+)\0", "aomedia:libavif"),
    "libavutil": FFMPEG,
    "libcrypto": OPENSSL,
    "libdrm": Project("libdrm", "MIT"),
    "libgfortran": Project("libgfortran", GPL_OF_GCC),
    "libopenblasp": OPENBLAS,
    "libpng16": Project("libpng", "libpng-2.0", rb"libpng version ([\d.]+)", "libpng:libpng"),
    "libquadmath": Project("libquadmath", LGPL),
    "libscipy_openblas64_": OPENBLAS,
    "libssl": OPENSSL,
    "libswresample": FFMPEG,
    "libswscale": FFMPEG,
    "libvpx": Project("libvpx", "BSD-3-Clause", rb"VP8 Decoder v([\d.]+)", "webmproject:libvpx"),
}


class Part(NamedTuple):
    """What a list says of a part; `cpe` only where the version is the project's own."""

    url: PackageURL
    cpe: str = ""


def libraries(site: Path) -> Iterator[Component]:
    """What lies in the folders beside Python packages, and what their own lists name besides.

    Raises:
        PartError: a library is in no table here.
    """
    for metadata in sorted(site.glob("*.dist-info")):
        name, version = metadata.name.removesuffix(".dist-info").split("-")
        wheel = Property(name="visavis:wheel", value=f"{name} {version}")
        listed = list(own_list(metadata, name))
        files = {file: part(file, listed) for file in sorted((site / f"{name}.libs").glob("*"))}
        for file, found in files.items():
            yield library(file, found, wheel)
        for url in sorted(set(listed) - {found.url for found in files.values()}):
            yield Component(name=url.name, version=url.version, purl=url, bom_ref=f"{name} {url}", properties=[wheel])


def own_list(metadata: Path, name: str) -> Iterator[PackageURL]:
    """The parts that a package names in its metadata (PEP 770), but for itself."""
    for file in sorted(metadata.glob("sboms/*.json")):
        for one in json.loads(file.read_text())["components"]:
            if (url := PackageURL.from_string(one["purl"])).name.replace("-", "_") != name:
                yield url


def part(file: Path, listed: list[PackageURL]) -> Part:
    """What a library is."""
    stem, project = project_of(file)
    if project.says and (said := re.search(project.says, file.read_bytes())):
        version = said[1].decode()
        cpe = f"cpe:2.3:a:{project.cpe}:{version}:*:*:*:*:*:*:*" if project.cpe else ""
        return Part(PackageURL("generic", None, project.name, version), cpe)
    for url in listed:
        if url.name.startswith(project.name):
            return Part(url)
    number = re.search(r"\.so\.([\d.]+)$", file.name)
    return Part(PackageURL("generic", None, stem, number[1] if number else None))


def project_of(file: Path) -> tuple[str, Project]:
    stem = re.split(r"[-.]", file.name)[0]
    if stem not in PROJECTS:
        raise PartError(f"{file.name} is new: name its project and licence in deb/bundled.py")
    return stem, PROJECTS[stem]


def library(file: Path, found: Part, wheel: Property) -> Component:
    """The entry for a file; the name of the file tells apart those of one project."""
    version = found.url.version
    return Component(
        name=file.name.partition(".so")[0].partition("-")[0],
        version=version,
        type=ComponentType.LIBRARY,
        purl=found.url,
        cpe=found.cpe or None,
        bom_ref=f"{file.parent.name}/{file.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sum_of(file))],
        licenses=[LicenseExpression(project_of(file)[1].licence)],
        properties=[wheel, Property(name="visavis:file", value=f"{file.parent.name}/{file.name}")],
    )

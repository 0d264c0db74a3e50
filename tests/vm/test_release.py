# SPDX-License-Identifier: Apache-2.0
"""A whole release, with an image that takes its bundle, is made and held against its statement."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
from image import build, release
from visavis.update.keys import make_keys

from deb.attestation import AttestationError
from deb.build import USUAL
from deb.check_release import check
from deb.packing import current_version

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(7200)]
BOARD = "generic-amd64"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the keys and the release, of the tree as it is."""
    folder = tmp_path_factory.mktemp("made")
    make_keys(folder / "keys", "me")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "OUT", folder / "image")  # the tests of images have their own
        patch.setattr(release, "unchanged", lambda _: None)
        release.make(Namespace(keys=folder / "keys", boards=[BOARD], out=folder / "release"))
    return folder


def test_packages_an_image_and_its_bundle_are_in_it(made: Path) -> None:
    version = current_version()
    there = {file.name for file in (made / "release").iterdir()}
    packages = {f"visavis_{version}+{suite}_{cpu}.deb" for suite in USUAL for cpu in ("amd64", "arm64")}
    packages |= {f"visavis-broker_{version}_all.deb", f"visavis-tensorrt_{version}_all.deb"}
    image = {f"visavis-{BOARD}.img.zst", f"visavis-{BOARD}.cdx.json", f"visavis-{BOARD}-{version}.raucb"}
    assert there == packages | image | {"visavis.intoto.json", "signing.pem"}


def test_devices_with_the_image_take_the_bundle(made: Path) -> None:
    bundle = made / "release" / f"visavis-{BOARD}-{current_version()}.raucb"
    said = subprocess.run(
        ["rauc", "info", f"--keyring={made / 'keys/ca.pem'}", bundle], capture_output=True, text=True, check=True
    ).stdout
    assert f"visavis-{BOARD}" in said
    parts = (made / "image" / BOARD / "rootfs.squashfs").stat().st_size
    assert bundle.stat().st_size > parts / 2


def test_a_byte_of_the_image_on_its_way_is_found(made: Path) -> None:
    assert check(made / "release", made / "keys/ca.pem").startswith("9 files are as they were signed")
    with (made / "release" / f"visavis-{BOARD}.img.zst").open("r+b") as image:
        image.seek(1 << 20)
        (old,) = image.read(1)
        image.seek(1 << 20)
        image.write(bytes([old ^ 1]))
    with pytest.raises(AttestationError, match=f"'visavis-{BOARD}.img.zst' is not the file that was signed"):
        check(made / "release", made / "keys/ca.pem")

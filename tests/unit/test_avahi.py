# SPDX-License-Identifier: Apache-2.0
"""What Avahi is given to announce: as its DTD wants it, and where the page really is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from visavis.config_gen import Web
from visavis.daemon import effective_config

from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT

EXAMPLE = ROOT / "systemd" / "visavis.avahi.service"
ROOTFS = ROOT / "firmware-image" / "rootfs"
ON_IMAGES = ROOTFS / "etc" / "avahi" / "services" / "visavis.service"
# service-group and service in avahi-service.dtd: elements have an order.
ORDER = ["type", "subtype", "domain-name", "host-name", "port", "txt-record"]


def described(folder: Path) -> Web:
    """The settings of the how-to that opens the page to the network, before it encrypts it."""
    block = next(one for one in blocks("toml") if one.page.name == "home-network.md" and "[auth]" in one.text)
    file = folder / "config.toml"
    file.write_text(block.text)
    return effective_config(file, {}).web


def of_the_package(_folder: Path) -> Web:
    return effective_config(ROOT / "deb" / "config.toml", {}).web


def of_images(folder: Path) -> Web:
    """The package's settings with those of the image laid over them."""
    shutil.copytree(ROOTFS / "etc" / "visavis", folder / "visavis")
    shutil.copy(ROOT / "deb" / "config.toml", folder / "visavis")
    return effective_config(folder / "visavis" / "config.toml", os.environ).web


@pytest.mark.parametrize(
    ("file", "settings"), [(EXAMPLE, of_the_package), (EXAMPLE, described), (ON_IMAGES, of_images)]
)
def test_what_is_announced_is_well_formed_and_where_the_page_is(
    file: Path, settings: Callable[[Path], Web], tmp_path: Path
) -> None:
    group = ElementTree.parse(file).getroot()  # noqa: S314 - our own
    assert group.tag == "service-group"
    assert [one.tag for one in group] == ["name", "service"]
    service = group[1]
    tags = [one.tag for one in service]
    assert tags == sorted(tags, key=ORDER.index)
    web = settings(tmp_path)
    assert service.findtext("type") == f"_http{'s' * web.https}._tcp"
    assert service.findtext("port") == web.listen.rpartition(":")[2]
    assert [one.text for one in service.findall("txt-record")] == ["path=/"]


def test_an_image_lets_its_page_be_reached_before_it_announces_it(tmp_path: Path) -> None:
    assert of_images(tmp_path).listen.startswith("0.0.0.0:")

# SPDX-License-Identifier: Apache-2.0
"""What Avahi is given to announce: as its DTD wants it, where the page really is, and which device that is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from visavis import __version__
from visavis.config_gen import Web
from visavis.daemon import effective_config
from visavis_device.files import ANNOUNCEMENT, PAGE_ANNOUNCEMENT, announcement
from visavis_device.first_boot import CHECK, announce, device_id

from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT

DAEMON = ROOT / "build" / "visavis-capture"
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


def on_images() -> list[str]:
    page = ON_IMAGES.read_text()
    return [page, announcement(page, "porch", "1.2.0").content]


@pytest.mark.parametrize(
    ("files", "settings"),
    [([EXAMPLE.read_text()], of_the_package), ([EXAMPLE.read_text()], described), (on_images(), of_images)],
)
def test_what_is_announced_is_well_formed_and_where_the_page_is(
    files: list[str], settings: Callable[[Path], Web], tmp_path: Path
) -> None:
    groups = [ElementTree.fromstring(file) for file in files]  # noqa: S314 - our own
    services = [service for group in groups for service in group.findall("service")]
    for group in groups:
        assert group.tag == "service-group"
        assert [one.tag for one in group] == ["name"] + ["service"] * (len(group) - 1)
    for service in services:
        tags = [one.tag for one in service]
        assert tags == sorted(tags, key=ORDER.index)
    web = settings(tmp_path)
    port = web.listen.rpartition(":")[2]
    told = {one.findtext("type"): (one.findtext("port"), records(one)) for one in services}
    assert told[f"_http{'s' * web.https}._tcp"] == (port, {"path": "/"})
    assert told["_visavis._tcp"][0] == port


def records(service: ElementTree.Element) -> dict[str, str]:
    """What its TXT records say."""
    pairs = (str(one.text).partition("=") for one in service.findall("txt-record"))
    return {name: value for name, _, value in pairs}


def programs_hear(content: str) -> dict[str, str]:
    """What is told of the device to programs that look for one."""
    group = ElementTree.fromstring(content)  # noqa: S314 - our own
    return next(records(one) for one in group.findall("service") if one.findtext("type") == "_visavis._tcp")


@pytest.fixture
def device_root(tmp_path: Path) -> Path:
    """The root of a device, as far as Avahi reads it."""
    (tmp_path / PAGE_ANNOUNCEMENT).parent.mkdir(parents=True)
    shutil.copy(ON_IMAGES, tmp_path / PAGE_ANNOUNCEMENT)
    return tmp_path


def test_programs_hear_who_the_device_is_of_which_release_and_where_its_api_is(device_root: Path) -> None:
    file = device_root / ANNOUNCEMENT
    for device in ("porch", "attic"):
        announce(device_root, device)
        assert programs_hear(file.read_text()) == {"id": device, "ver": __version__, "api": "/api/v1"}
    announce(device_root, "")  # nobody knows it: the daemon refuses its configuration
    assert programs_hear(file.read_text())["id"] == "attic"


def test_the_example_tells_no_release_since_a_copy_would_keep_it() -> None:
    assert programs_hear(EXAMPLE.read_text()) == {"id": "porch", "api": "/api/v1"}


def test_what_an_owner_made_of_the_announcement_stays_and_counts_for_programs_too(device_root: Path) -> None:
    page, file = device_root / PAGE_ANNOUNCEMENT, device_root / ANNOUNCEMENT
    page.write_text(changed := ON_IMAGES.read_text().replace("8080", "443"))
    announce(device_root, "porch")
    assert page.read_text() == changed
    assert "<port>443</port>" in file.read_text()
    page.unlink()
    announce(device_root, "porch")
    assert not file.exists(), "who has removed it wants none"


def test_the_id_is_the_one_by_which_the_daemon_calls_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setattr("visavis_device.first_boot.CHECK", (str(DAEMON), *CHECK[1:]))
    config.write_text('[device]\nid = "porch"\n')
    assert device_id(tmp_path) == "porch"
    config.write_text("[device]\nid = 7\n")
    assert device_id(tmp_path) == ""


def test_an_image_lets_its_page_be_reached_before_it_announces_it(tmp_path: Path) -> None:
    assert of_images(tmp_path).listen.startswith("0.0.0.0:")

# SPDX-License-Identifier: Apache-2.0
"""The image for arm64 boards with UEFI firmware: its first start, as test_image.py shows it for PCs, and an update."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.vm import image_update
from tests.vm.image_lab import (
    ARM,
    Flashed,
    a_face_comes_over_mqtt,
    first_start,
    flashed,
    slow_down,
    the_list_of_parts_is_inside_and_beside,
)
from tests.vm.image_update import Parcel

# Its image alone takes half an hour to make.
pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(10_000)]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flashed]:
    for device in flashed(ARM, tmp_path_factory.mktemp("flashed-arm64")):
        slow_down(device)
        yield device


@pytest.fixture(scope="module")
def parcel(device: Flashed, tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    parcel = image_update.parcel(ARM, tmp_path_factory.mktemp("parcel"))
    image_update.it_trusts(device, parcel)
    return parcel


def test_the_first_start_on_arm64_ends_with_everything_running(
    device: Flashed, measured: Callable[[str], None]
) -> None:
    measured(first_start(device))
    assert device.run("uname -m").strip() == "aarch64"
    assert device.run("cat /usr/lib/visavis-image/board").strip() == "generic-arm64"


def test_it_started_from_the_first_slot_and_takes_the_other_for_updates(device: Flashed) -> None:
    assert device.slot() == "A"
    assert device.run("findmnt -no FSTYPE,OPTIONS /").startswith("squashfs ro")
    assert device.gate() == "success"
    now = device.slots()
    assert (now["compatible"], now["running"], now["trial"]) == ("visavis-generic-arm64", "A", False)
    assert {slot["bootname"]: slot["good"] for slot in now["slots"]} == {"A": True, "B": False}


def test_a_face_comes_over_mqtt(device: Flashed) -> None:
    a_face_comes_over_mqtt(device)


def test_the_list_of_parts_is_inside_and_beside(device: Flashed) -> None:
    the_list_of_parts_is_inside_and_beside(device)


def test_it_refuses_what_strangers_signed(device: Flashed, parcel: Parcel) -> None:
    image_update.it_refuses_what_strangers_signed(device, parcel)


def test_an_update_leads_to_the_other_slot(device: Flashed, parcel: Parcel) -> None:
    image_update.an_update_leads_to("B", device, parcel)

# SPDX-License-Identifier: Apache-2.0
"""The image for arm64 boards with UEFI firmware: its first start, as test_image.py shows it for PCs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.image_lab import (
    ARM,
    Flashed,
    a_face_comes_over_mqtt,
    everything_runs,
    flashed,
    slow_down,
    the_list_of_parts_is_inside_and_beside,
)

# Its image alone takes half an hour to make.
pytestmark = [pytest.mark.vm, pytest.mark.vm_long, pytest.mark.timeout(10_000)]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flashed]:
    for device in flashed(ARM, tmp_path_factory.mktemp("flashed-arm64")):
        slow_down(device)
        yield device


def test_the_first_start_on_arm64_ends_with_everything_running(device: Flashed) -> None:
    assert device.run("uname -m").strip() == "aarch64"
    assert device.run("cat /usr/lib/visavis-image/board").strip() == "generic-arm64"
    everything_runs(device)


def test_it_started_from_the_first_slot_and_takes_the_other_for_updates(device: Flashed) -> None:
    assert "rauc.slot=A" in device.run("cat /proc/cmdline")
    assert device.run("findmnt -no FSTYPE,OPTIONS /").startswith("squashfs ro")
    assert "Compatible:  visavis-generic-arm64" in device.run("rauc status")


def test_a_face_comes_over_mqtt(device: Flashed) -> None:
    a_face_comes_over_mqtt(device)


def test_the_list_of_parts_is_inside_and_beside(device: Flashed) -> None:
    the_list_of_parts_is_inside_and_beside(device)

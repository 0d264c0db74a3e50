# SPDX-License-Identifier: Apache-2.0
"""`flash.yml` and its guards, on a loop device with a name as udev gives it to a card."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.ansible_programs import PLAYBOOKS, Ansible
from tests.waiting import until

WRITER = PLAYBOOKS / "roles" / "card" / "files" / "write_card.py"
BY_ID = Path("/dev/disk/by-id")
DISK_BYTES, START_SECTOR = 24 << 20, 2048

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has loop devices: run the tests as root for these")


class Card:
    """A loop device; `name` is its link by id, `part` that of its first partition."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "disk"
        with self.file.open("wb") as file:
            file.truncate(DISK_BYTES)
        self.loop = Path(out("losetup", "--partscan", "--show", "--find", str(self.file)))
        self.name = BY_ID / f"visavis-test-{secrets.token_hex(4)}"
        self.part = self.name.with_name(f"{self.name.name}-part1")
        BY_ID.mkdir(parents=True, exist_ok=True)
        self.name.symlink_to(self.loop)
        self.part.symlink_to(f"{self.loop}p1")

    def remove(self) -> None:
        self.name.unlink()
        self.part.unlink()
        subprocess.run(["losetup", "-d", str(self.loop)], check=True)


def out(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    one = Card(tmp_path)
    yield one
    one.remove()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small disk with a boot partition, as an image of the firmware has it, packed."""
    folder = tmp_path_factory.mktemp("image")
    disk, boot = folder / "disk.img", folder / "boot"
    for file, size_bytes in ((disk, DISK_BYTES - (4 << 20)), (boot, 16 << 20)):
        with file.open("wb") as target:
            target.truncate(size_bytes)
    subprocess.run(["mkfs.vfat", str(boot)], check=True, capture_output=True)
    table = f"label: dos\nstart={START_SECTOR}, size={(16 << 20) // 512}, type=c\n"
    subprocess.run(["sfdisk", "-q", str(disk)], input=table, text=True, check=True)
    subprocess.run(
        ["dd", f"if={boot}", f"of={disk}", "bs=512", f"seek={START_SECTOR}", "conv=notrunc", "status=none"], check=True
    )
    packed = folder / "visavis.img.xz"
    packed.write_bytes(lzma.compress(disk.read_bytes(), preset=1))
    return packed


def sum_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(
    device: Path, image: Path, *more: str | Path, sha256: str = "", before: Sequence[str | Path] = ()
) -> subprocess.CompletedProcess[str]:
    words = ["--device", device, "--image", image, "--sha256", sha256 or sum_of(image), *more]
    command = [str(word) for word in (*before, sys.executable, WRITER, *words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_card_holds_the_image_and_the_first_settings(card: Card, image: Path, tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text('[device]\nid = "porch"\n')
    said = write(card.name, image, "--fixed-disk", "--first-boot", tmp_path / "first.toml")
    assert said.returncode == 0, said.stderr
    assert "read back the same" in said.stdout
    before = lzma.decompress(image.read_bytes())
    assert card.file.read_bytes()[: START_SECTOR * 512] == before[: START_SECTOR * 512]
    where = f"{card.file}@@{START_SECTOR * 512}"
    assert out("mtype", "-i", where, "::visavis.toml") == '[device]\nid = "porch"'


def test_nothing_is_written_when_it_is_only_checked(card: Card, image: Path) -> None:
    said = write(card.name, image, "--fixed-disk", "--check")
    assert (said.returncode, said.stdout) == (0, f"{card.name}: would be written\n")
    assert not any(card.file.read_bytes())


def refused(said: subprocess.CompletedProcess[str], words: str, card: Card) -> None:
    assert said.returncode == 1
    assert words in said.stderr
    assert not any(card.file.read_bytes()[: START_SECTOR * 512])


def test_a_name_that_may_be_another_disk_tomorrow_is_refused(card: Card, image: Path) -> None:
    refused(write(card.loop, image, "--fixed-disk"), "names such as sdb change", card)
    refused(write(BY_ID / "nothing", image, "--fixed-disk"), "is no link in", card)
    refused(write(BY_ID / ".." / "by-id" / card.name.name, image, "--fixed-disk"), "is no link in", card)


def test_what_is_neither_a_card_nor_a_stick_is_refused(card: Card, image: Path) -> None:
    refused(write(card.name, image), "neither a card nor a stick", card)


def test_an_image_that_is_not_what_its_sum_says_is_refused(card: Card, image: Path) -> None:
    refused(write(card.name, image, "--fixed-disk", sha256="0" * 64), "has the sum", card)


def test_a_file_that_is_no_image_is_refused(card: Card, tmp_path: Path) -> None:
    (tmp_path / "image.zip").write_bytes(b"PK")
    refused(write(card.name, tmp_path / "image.zip", "--fixed-disk"), "unpack it first", card)


def test_an_image_that_ends_too_early_is_said(card: Card, image: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.img.xz"
    cut.write_bytes(image.read_bytes()[:-200])
    said = write(card.name, cut, "--fixed-disk")
    assert said.returncode == 1
    assert said.stderr.startswith(f"card: {card.loop.name} or cut.img.xz fails, ")
    assert said.stderr.endswith(": the disk is not whole; try another\n")


def while_mounted(part: Path, where: Path) -> list[str | Path]:
    """Words before a command that mount `part` for it alone.

    A mount that everybody sees is copied by each sandbox that starts meanwhile, and keeps the partition busy there.
    """
    held = 'part=$1 where=$2; shift 2; mount "$part" "$where" && { "$@"; said=$?; umount "$where" && exit $said; }'
    return ["unshare", "--mount", "sh", "-c", held, "sh", part, where]


def test_a_disk_of_which_a_part_is_mounted_is_refused(card: Card, image: Path, tmp_path: Path) -> None:
    assert write(card.name, image, "--fixed-disk").returncode == 0
    subprocess.run(["partx", "--add", str(card.loop)], check=False, stderr=subprocess.DEVNULL)  # some kernels did
    part, where = Path(f"{card.loop}p1"), tmp_path / "mounted"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(part)], check=True)
    where.mkdir()
    said = write(card.name, image, "--fixed-disk", before=while_mounted(part, where))
    assert (said.returncode, f"mounted at {where}" in said.stderr) == (1, True), said.stderr
    said = write(card.part, image, "--fixed-disk")
    assert (said.returncode, "is a partition" in said.stderr) == (1, True), said.stderr
    forget = ["partx", "--delete", str(card.loop)]
    until(lambda: subprocess.run(forget, check=False).returncode == 0, "the part is in use")  # for a moment by udev


def test_the_disk_of_this_system_is_refused(image: Path) -> None:
    root = out("findmnt", "-n", "-o", "SOURCE", "/")
    name = BY_ID / f"visavis-test-{secrets.token_hex(4)}"
    BY_ID.mkdir(parents=True, exist_ok=True)
    name.symlink_to(root)
    try:
        said = write(name, image, "--fixed-disk", "--check")
        assert said.returncode == 1
        assert "is mounted at" in said.stderr or "is a partition" in said.stderr
    finally:
        name.unlink()


def test_an_image_that_does_not_fit_is_told(card: Card, tmp_path: Path) -> None:
    large = tmp_path / "large.img.xz"
    large.write_bytes(lzma.compress(bytes(DISK_BYTES + 1), preset=0))
    said = write(card.name, large, "--fixed-disk")
    assert (said.returncode, "the image is larger" in said.stderr) == (1, True), said.stderr


@pytest.fixture
def ansible(tmp_path: Path) -> Ansible:
    return Ansible.installed("ansible", tmp_path / "ansible")


def test_the_playbook_wants_the_disk_named_twice(ansible: Ansible, card: Card, image: Path) -> None:
    given = ["flash.yml", "-e", f"card_image={image} card_sha256={sum_of(image)} card_fixed_disk=true"]
    given += ["-e", f"ansible_become=false card_device={card.name}"]
    played = ansible.play(*given, "-e", f"card_confirmed={card.part}")
    assert (played.code, "are not the same: nothing was written" in played.said) == (2, True), played.said
    assert not any(card.file.read_bytes())
    played = ansible.play(*given, "-e", f"card_confirmed={card.name}")
    assert played.code == 0, played.said
    assert card.file.read_bytes()[: DISK_BYTES - (4 << 20)] == lzma.decompress(image.read_bytes())


def usb(folder: Path, **boards: tuple[str, str, str]) -> Path:
    """What the kernel tells of devices at USB: vendor, number and product."""
    for port, told in boards.items():
        (folder / port).mkdir(parents=True)
        for name, text in zip(("idVendor", "idProduct", "product"), told, strict=True):
            (folder / port / name).write_text(f"{text}\n")
    return folder


@pytest.mark.parametrize(
    ("boards", "code", "words"),
    [
        ({"p1": ("0955", "7523", "APX"), "p2": ("046d", "0825", "C270")}, 0, "Jetson 7523"),
        ({"p1": ("0a5c", "2712", "BCM2712 Boot")}, 0, "Raspberry Pi 5"),
        ({"p1": ("0955", "7020", "L4T")}, 1, "there is none"),
        ({"p2": ("0955", "7523", "APX")}, 1, "at p1; there is Jetson 7523 at p2"),
        ({"p1": ("0955", "7523", "APX"), "p2": ("0a5c", "2711", "BCM2711 Boot")}, 1, "Raspberry Pi 4 at p2"),
    ],
)
def test_the_one_board_in_recovery_mode_is_found(
    boards: dict[str, tuple[str, str, str]], code: int, words: str, tmp_path: Path
) -> None:
    command = [sys.executable, WRITER.with_name("in_recovery.py"), "--port", "p1", "--devices", usb(tmp_path, **boards)]
    said = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert (said.returncode, words in said.stdout + said.stderr) == (code, True), said.stdout + said.stderr


def at_usb(folder: Path, command: Sequence[str | Path]) -> list[str | Path]:
    """This command where the kernel tells only of the boards in `folder`, which holds usb/devices."""
    return ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys/bus && exec "$@"', folder, *command]


@pytest.mark.parametrize(
    ("told", "code", "flashed"),
    [
        (("0955", "7523", "APX"), 0, ["l4t_initrd_flash.sh --network usb0 jetson-orin-nano-devkit external"]),
        (("0955", "7020", "L4T"), 2, []),
    ],
)
def test_the_playbook_lets_nvidias_program_flash_the_board_that_waits(
    told: tuple[str, str, str], code: int, flashed: list[str], ansible: Ansible, tmp_path: Path
) -> None:
    """The program is a stand-in, as in test_jetson.py, which says how it was called."""
    usb(tmp_path / "bus" / "usb" / "devices", p1=told)
    log, program = tmp_path / "log", tmp_path / "l4t_initrd_flash.sh"
    program.write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >>"{log}"\n')
    program.chmod(0o755)
    command = [str(program), "--network", "usb0", "jetson-orin-nano-devkit", "external"]
    card = {"card_usb": "p1", "card_device": "", "card_confirmed": "", "ansible_become": False}
    given = json.dumps({**card, "card_recovery_command": command})
    for words, lines in ((["--check"], []), ([], flashed)):
        played = ansible.run(*at_usb(tmp_path / "bus", ["ansible-playbook", "flash.yml", "-e", given, *words]))
        assert played.returncode == code, played.stdout + played.stderr
        assert (log.read_text().splitlines() if log.exists() else []) == lines
        assert ("there is none" in played.stdout) == (code != 0)

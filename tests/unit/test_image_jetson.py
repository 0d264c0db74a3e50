# SPDX-License-Identifier: Apache-2.0
"""The image of a Jetson, of a small system: what NVIDIA's loader finds on the disk, and what an update replaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from image import HERE, build, jetson_layout, l4t, users
from image.boards import Board
from image.disk import ROOT_TYPES
from image.errors import ImageError
from image.packages import Lock
from image.root import Recipe
from visavis.update.boot import nvbootctrl

from tests.unit.l4t_root import CONFIG, KERNEL, LAYOUT, VERSION, system

TIME_S = 1_795_651_200
ARGUMENTS = "console=ttyTCU0,115200 firmware_class.path=/etc/firmware"
JETSON = HERE / "rootfs-jetson"
DATA_PARTITION = JETSON / "usr/lib/visavis-image/data-partition"
FIRMWARE_SLOT = JETSON / "usr/lib/visavis-image/firmware-slot"
VARIABLE = "BootChainOsCurrent-781e084c-a330-417c-b678-38e696380cb9"
SHELLS = [["sh"], *([["busybox", "sh"]] if shutil.which("busybox") else [])]


@pytest.fixture
def board() -> Board:
    return l4t.board(ARGUMENTS)


def boot_partition(board: Board, folder: Path) -> Path:
    """The image of a slot's boot partition."""
    image = folder / "boot.ext4"
    recipe = Recipe(board, Lock(TIME_S, ()), Path(), "1.0", TIME_S)
    build.partition(recipe, "boot", board.loader.slot_files(system(folder / "root"), board.options), image)
    return image


def read(image: Path, name: str) -> bytes:
    """A file of an ext4, as another driver than Linux's reads it."""
    return subprocess.run(["debugfs", "-R", f"cat /{name.lstrip('/')}", image], capture_output=True, check=True).stdout


def test_the_loader_finds_what_its_configuration_names(board: Board, tmp_path: Path) -> None:
    image = boot_partition(board, tmp_path)
    config = read(image, "boot/extlinux/extlinux.conf").decode()
    lines = dict(line.split(maxsplit=1) for line in config.splitlines() if line.startswith("      "))
    assert read(image, lines["LINUX"]) == KERNEL
    assert read(image, lines["INITRD"]) == b"first stage"
    assert read(image, lines["FDT"]) == b"tree"
    assert lines["APPEND"].startswith("${cbootargs} ro panic=10 ")
    assert f" {ARGUMENTS} console=tty0 console=ttyTCU0 quiet" in lines["APPEND"]
    for word in ("rauc.slot=", "root="):  # both slots have these bytes
        assert word not in lines["APPEND"]
    assert [path.name for path in (tmp_path / "root/boot").iterdir()] == ["efi"]


def test_without_a_device_tree_of_nvidias_none_is_named(board: Board, tmp_path: Path) -> None:
    (tree := system(tmp_path)).joinpath("boot/extlinux/extlinux.conf").unlink()
    files = board.loader.slot_files(tree, board.options)
    assert b"FDT" not in files["boot/extlinux/extlinux.conf"]
    assert l4t.named_files(f"{CONFIG}      OVERLAYS /boot/a.dtbo,/boot/b.dtbo\n") == {
        "FDT": ["/boot/dtb/board.dtb"],
        "OVERLAYS": ["/boot/a.dtbo", "/boot/b.dtbo"],
    }


def test_the_boot_partition_is_whole_and_the_same_each_time(board: Board, tmp_path: Path) -> None:
    images = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        images.append(boot_partition(board, tmp_path / name))
    assert subprocess.run(["cmp", *images], check=False).returncode == 0
    assert images[0].stat().st_size == l4t.BOOT_MIB << 20
    checked = subprocess.run(["e2fsck", "-fn", images[0]], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    said = subprocess.run(["dumpe2fs", "-h", images[0]], capture_output=True, text=True, check=True).stdout
    (features,) = (line.split(":")[1].split() for line in said.splitlines() if line.startswith("Filesystem features"))
    assert set(features) == {"extent", "filetype", "sparse_super", "large_file"}


def test_a_kernel_in_another_form_is_refused(board: Board, tmp_path: Path) -> None:
    (tree := system(tmp_path)).joinpath("boot/Image").write_bytes(b"\x1f\x8b" + b"\0" * 100)
    with pytest.raises(ImageError, match="no plain arm64 kernel"):
        board.loader.slot_files(tree, board.options)


def parts(layout: str) -> dict[str, dict[str, str]]:
    """Name of each partition -> its fields and attributes, in their order."""
    device = ET.fromstring(layout).find("device")  # noqa: S314 (our own)
    assert device is not None
    return {
        part.attrib["name"]: {**part.attrib, **{field.tag: (field.text or "").strip() for field in part}}
        for part in device
    }


def test_the_layout_keeps_what_is_nvidias_and_gets_what_is_ours(board: Board) -> None:
    before, after = parts(LAYOUT), parts(jetson_layout.changed(LAYOUT, board.table))
    ours = ["APP", "APP_b", "visavis-esp", "visavis-a", "visavis-b"]
    kept = [name for name in before if name not in ("UDA", *ours)]
    assert list(after) == [*kept[:-1], *ours, "secondary_gpt"]
    assert [after[name] for name in kept] == [before[name] for name in kept]
    for name, uuid, number in (("APP", "APPUUID", "1"), ("APP_b", "APPUUID_b", "2")):
        assert (after[name]["unique_guid"], after[name]["id"]) == (uuid, number)
        assert (after[name]["size"], after[name]["filename"]) == (str(256 << 20), "visavis-boot.img")
    assert [after[name]["id"] for name in ours[2:]] == ["7", "8", "9"]  # behind those of the six that were there
    assert after["visavis-esp"]["filename"] == "visavis-first.img"
    for name in ("visavis-a", "visavis-b"):
        assert (after[name]["filename"], after[name]["size"]) == ("visavis-root.img", str(6 << 30))
        assert after[name]["partition_type_guid"] == ROOT_TYPES["arm64"]


def test_the_first_partition_has_the_note_of_what_is_on_trial_where_its_handler_looks(
    board: Board, tmp_path: Path
) -> None:
    ((name, content),) = board.loader.first_files(tmp_path).items()
    (tmp_path / name).write_bytes(content)
    assert Path("/boot/efi", name) == nvbootctrl.STATE
    assert not nvbootctrl.Nvbootctrl(tmp_path / name).on_trial("A")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('name="APP_b"', 'name="other"', "has no partition APP_b: take the files of a JetPack 6"),
        ('name="UDA"', 'name="other"', "has no partition UDA"),
        ('name="secondary_gpt"', 'name="other"', "has no partition secondary_gpt"),
        ('type="external"', 'type="sdmmc"', "has no external device"),
        ("<filename> APPFILE </filename>", "", "the partition APP has no filename"),
        ("</partition_layout>", "", "is no XML"),
    ],
)
def test_a_layout_that_is_another_is_refused(before: str, after: str, says: str, board: Board) -> None:
    assert LAYOUT.count(before) == 1
    with pytest.raises(ImageError, match=says):
        jetson_layout.changed(LAYOUT.replace(before, after), board.table)


def test_the_layout_is_written_beside_nvidias_and_nvidias_has_to_be_there(board: Board, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"rootfs_ab.xml cannot be read .*Jetson Linux 36"):
        jetson_layout.write(tmp_path, board.table)
    nvidias = tmp_path / jetson_layout.NVIDIAS
    nvidias.parent.mkdir(parents=True)
    nvidias.write_text(LAYOUT)
    assert "visavis-a" in jetson_layout.write(tmp_path, board.table).read_text()
    assert nvidias.read_text() == LAYOUT


def test_nvidias_tool_gets_each_file_that_the_layout_names(board: Board, tmp_path: Path) -> None:
    contents = {name: tmp_path / name for name in ("first", "boot", "root")}
    for name, file in contents.items():
        file.write_text(name)
    (folder := tmp_path / "bootloader").mkdir()
    l4t.hand_over(contents, folder)
    layout = parts(jetson_layout.changed(LAYOUT, board.table))
    named = {part["filename"] for part in layout.values() if part.get("filename", "").startswith("visavis")}
    assert {file.name for file in folder.iterdir()} == {*named, "visavis-boot.img.raw"}
    assert (folder / layout["visavis-a"]["filename"]).read_text() == "root"


def test_rauc_writes_to_partitions_of_the_layout(board: Board, tmp_path: Path) -> None:
    subprocess.run([str(HERE / "update" / "into"), str(tmp_path), board.name, "1.0", ""], check=True)
    configured = (tmp_path / "etc/rauc/system.conf").read_text()
    for label in ("APP", "APP_b", "visavis-a", "visavis-b"):
        assert f"device=/dev/disk/own/{label}\n" in configured
        assert label in parts(jetson_layout.changed(LAYOUT, board.table))
    assert configured.index("own/APP\n") < configured.index("parent=rootfs.0") < configured.index("own/APP_b\n")
    rules = (tmp_path / "usr/lib/udev/rules.d/61-visavis-own-disk.rules").read_text()
    assert 'ENV{ID_PART_ENTRY_NAME}=="visavis-*|APP|APP_b"' in rules


def test_nvidias_services_start_but_those_that_a_device_has_no_use_for(board: Board, tmp_path: Path) -> None:
    board.loader.prepare(tree := system(tmp_path), board.options)
    assert (tree / "usr/lib/systemd/system-preset/05-nvidia.preset").read_text() == (
        "enable nv-l4t-bootloader-config.service\nenable nvfancontrol.service\n"
    )
    assert not (tree / "etc/systemd/system/default.target").exists()  # what presets would remove
    assert (tree / "usr/lib/systemd/system/default.target").readlink().name == "multi-user.target"


@pytest.mark.parametrize("words", [["verify"], ["-t", "rootfs", "dump-slots-info"]], ids=" ".join)
def test_nvidias_service_may_ask_nvbootctrl_anything_but_call_a_start_good(words: list[str], tmp_path: Path) -> None:
    text = (JETSON / "usr/lib/visavis-image/without-verify").read_text()
    assert f"/{l4t.BOOT_CONTROL_ITSELF} " in text
    program = tmp_path / "nvbootctrl"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    command = ["sh", "-ec", text.replace(f"/{l4t.BOOT_CONTROL_ITSELF}", str(program)), "sh", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == ("" if words == ["verify"] else f"{' '.join(words)}\n")


@pytest.mark.parametrize("name", l4t.MODULES)
def test_a_kernel_without_what_a_slot_needs_is_refused(name: str, board: Board, tmp_path: Path) -> None:
    folder = system(tmp_path) / "usr/lib/modules" / VERSION
    for file in ("modules.dep", "modules.builtin"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace(f"{name}.ko", "x.ko").replace(f"{name.replace('_', '-')}.ko", "x.ko"))
    with pytest.raises(ImageError, match=f"the kernel {VERSION} lacks {name}: take one that was built with"):
        board.loader.prepare(tmp_path, board.options)


def test_a_root_without_nvidias_parts_is_refused(board: Board, tmp_path: Path) -> None:
    (tree := system(tmp_path)).joinpath(l4t.BOOT_CONTROL).unlink()
    with pytest.raises(ImageError, match="has no usr/sbin/nvbootctrl"):
        board.loader.prepare(tree, board.options)
    shutil.copytree(tree / "usr/lib/modules" / VERSION, tree / "usr/lib/modules/6.8")
    with pytest.raises(ImageError, match=f"one kernel in NVIDIA's system, and here {VERSION}, 6.8"):
        board.loader.prepare(tree, board.options)


def test_what_nvidias_board_says_to_its_kernel_is_read_as_its_tool_reads_it(tmp_path: Path) -> None:
    (tmp_path / "common").write_text('CMDLINE_ADD="console=ttyTCU0 net.ifnames=0"\n')
    (tmp_path / "board.conf").write_text('echo noise; source "${LDK_DIR}/common"\n')
    assert l4t.kernel_arguments(tmp_path, "board") == "console=ttyTCU0 net.ifnames=0"
    with pytest.raises(ImageError, match=r"other.conf cannot be read"):
        l4t.kernel_arguments(tmp_path, "other")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A root that somebody else has made, with users of its own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\navahi:x:115:120::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\navahi:x:120:\ngdm:x:130:\n")
    (tmp_path / "etc/shadow").write_text("root:!:::\navahi:!:::\n")
    return tmp_path


def test_our_users_get_their_numbers_in_a_foreign_root_whose_own_stay(foreign: Path) -> None:
    users.enter(foreign, users.ADDED)
    there = dict(users.numbers((foreign / "etc/passwd").read_text()))
    assert (there["avahi"], there["visavis"], there["visavis-infer"], there["mosquitto"]) == (115, 900, 901, 902)
    assert "visavis:!*:" in (foreign / "etc/shadow").read_text()
    assert "avahi:!*" not in (foreign / "etc/shadow").read_text()
    users.must_be_fixed(foreign, users.ADDED)
    with (foreign / "etc/passwd").open("a") as out:
        out.write("new:x:998:998::/:/bin/false\n")
    with pytest.raises(ImageError, match=r"new \(998\): enter them in"):
        users.must_be_fixed(foreign, users.ADDED)


def test_a_number_of_ours_that_somebody_has_is_refused(foreign: Path) -> None:
    with (foreign / "etc/group").open("a") as out:
        out.write("theirs:x:900:\n")
    with pytest.raises(ImageError, match="gives 900, which is for visavis, to theirs"):
        users.enter(foreign, users.ADDED)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    ("content", "slot"),
    [
        (b"\x06\0\0\0\0\0\0\0", "A"),
        (b"\x06\0\0\0\1\0\0\0", "B"),
        (b"\x06\0\0\0\2\0\0\0", "A"),
        (b"\x06\0\0\0\1\0\0\1", "A"),
        (b"\x06\0\0", "A"),
        (None, "A"),
    ],
)
def test_the_first_stage_takes_the_slot_that_the_loader_took(
    shell: list[str], content: bytes | None, slot: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / VARIABLE).write_bytes(content)
    said = subprocess.run([*shell, FIRMWARE_SLOT, tmp_path], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == (f"{slot}\n", "")


@pytest.mark.parametrize(("number", "slot"), [(0, "a"), (1, "b")])
def test_the_root_is_that_slots_and_what_asks_later_is_told(number: int, slot: str, tmp_path: Path) -> None:
    """The script of the first stage itself, with its places moved into a folder."""
    (tmp_path / VARIABLE).write_bytes(b"\x06\0\0\0" + bytes([number, 0, 0, 0]))
    text = (JETSON / "etc/initramfs-tools/scripts/local-top/visavis-slot").read_text()
    for before, after in (
        ("/sys/firmware/efi/efivars", str(tmp_path)),
        ("/usr/lib/visavis-image/", f"{FIRMWARE_SLOT.parent}/"),
        (">/run/", f">{tmp_path}/"),
        (">>/conf/", f">>{tmp_path}/"),
    ):
        assert before in text
        text = text.replace(before, after)
    for program in ("mount", "umount"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho "{program}" >>{tmp_path}/asked\n')
        (tmp_path / program).chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", text, "sh", "go"], check=True, env=path)
    assert (tmp_path / "asked").read_text() == "mount\numount\n"  # else the system finds it read-only
    assert (tmp_path / "param.conf").read_text() == f"ROOT=PARTLABEL=visavis-{slot}\n"
    assert (tmp_path / "visavis-slot").read_text() == f"rauc.slot={slot.upper()}\n"


def table(image: Path) -> list[str]:
    said = subprocess.run(["sfdisk", "--dump", image], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if "start=" in line]


@pytest.fixture
def flashed(tmp_path: Path) -> Path:
    """A disk on which nothing is behind the systems."""
    image = tmp_path / "disk"
    with image.open("wb") as out:
        out.truncate(600 << 20)
    script = 'label: gpt\nstart=2048, size=8192, name="APP"\nstart=10240, size=204800, name="visavis-b"\n'
    subprocess.run(["sfdisk", "-q", image], input=script, text=True, check=True)
    return image


def run(shell: list[str], remove: str, image: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shell, DATA_PARTITION, remove, image], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_data_partition_is_made_once_grows_with_the_disk_and_is_made_anew(
    shell: list[str], flashed: Path, tmp_path: Path
) -> None:
    before = table(flashed)
    assert run(shell, "no", flashed).returncode == 0
    first = table(flashed)
    assert first[:2] == before
    assert 'name="visavis-data"' in first[2]
    assert run(shell, "no", flashed).returncode == 0
    assert table(flashed) == first
    with flashed.open("r+b") as out:
        out.truncate(900 << 20)
    assert run(shell, "no", flashed).returncode == 0
    grown = table(flashed)
    assert grown[2].split("type=")[1] == first[2].split("type=")[1]  # the same one
    file_system = tmp_path / "data"
    subprocess.run(["dd", f"if={flashed}", f"of={file_system}", "bs=1M", "skip=105", "status=none"], check=True)
    for command in (["e2fsck", "-fp"], ["resize2fs"]):
        subprocess.run([*command, file_system], check=True, capture_output=True)
    assert run(shell, "yes", flashed).returncode == 0
    assert table(flashed) == before
    assert run(shell, "no", flashed).returncode == 0
    assert table(flashed)[2] != grown[2]
    assert subprocess.run(["sfdisk", "--verify", flashed], capture_output=True, check=False).returncode == 0


def test_a_disk_without_room_for_data_is_said(flashed: Path) -> None:
    filled = ["sfdisk", "-q", "--append", str(flashed)]
    subprocess.run(filled, input="start=215040, size=600000, name=reserved\n", text=True, check=True)
    assert run(["sh"], "no", flashed).stdout.endswith("has less than 256 MiB behind its partitions\n")

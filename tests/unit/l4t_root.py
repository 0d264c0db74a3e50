# SPDX-License-Identifier: Apache-2.0
"""What NVIDIA's tools leave, as far as an image is made of it: a layout file of the same form, and a small root."""

from __future__ import annotations

from pathlib import Path

from image import disk
from image.arm64 import MAGIC, MAGIC_AT
from image.l4t import MODULES

KERNEL = b"\0" * MAGIC_AT + MAGIC + b"kernel"
VERSION = "5.15.148-tegra"


def partition(name: str, kind: str, size: str, attributes: str = "", more: str = "") -> str:
    return f"""
        <partition name="{name}" type="{kind}"{attributes}>
            <allocation_policy> sequential </allocation_policy>
            <size> {size} </size>
            <allocation_attribute> 0x8 </allocation_attribute>{more}
        </partition>"""


def app(name: str, number: int, uuid: str, file: str) -> str:
    more = f"<unique_guid> {uuid} </unique_guid><filename> {file} </filename>"
    return partition(name, "data", "APPSIZE", f' id="{number}"', more)


PARTITIONS = (
    partition("master_boot_record", "protective_master_boot_record", "512"),
    partition("primary_gpt", "primary_gpt", "19968"),
    partition("A_kernel", "kernel", "134217728", ' id="3"', "<filename> LNXFILE </filename>"),
    partition("esp", "data", "67108864", more="<filename> ESP_FILE </filename>"),
    partition("UDA", "data", "419430400"),
    partition("reserved", "data", "502792192"),
    app("APP", 1, "APPUUID", "APPFILE"),
    app("APP_b", 2, "APPUUID_b", "APPFILE_b"),
    partition("secondary_gpt", "secondary_gpt", "0xFFFFFFFFFFFFFFFF"),
)
LAYOUT = f"""<?xml version="1.0"?>
<!-- in the form of NVIDIA's -->
<partition_layout version="01.00.0000">
    <device type="external" instance="0" sector_size="512" num_sectors="EXT_NUM_SECTORS">{"".join(PARTITIONS)}
    </device>
</partition_layout>
"""
CONFIG = """TIMEOUT 30
DEFAULT primary
LABEL primary
      LINUX /boot/Image
      INITRD /boot/initrd
      FDT /boot/dtb/board.dtb
      APPEND ${cbootargs} quiet
"""


def system(folder: Path) -> Path:
    """A root with NVIDIA's kernel and services, and the first stage that was made in it."""
    modules = f"usr/lib/modules/{VERSION}"
    files = {
        "boot/Image": KERNEL,
        f"boot/initrd.img-{VERSION}": b"first stage",
        "boot/initrd": b"NVIDIA's first stage",
        "boot/extlinux/extlinux.conf": CONFIG.encode(),
        "boot/dtb/board.dtb": b"tree",
        "boot/efi/README": b"where a partition is mounted",
        f"{modules}/modules.dep": b"kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-mod.ko\n",
        f"{modules}/modules.builtin": "".join(
            f"kernel/{name}.ko\n" for name in MODULES if name != "dm_verity"
        ).encode(),
        "usr/sbin/nvbootctrl": b"program",
        "usr/lib/systemd/system-preset/10-visavis.preset": b"disable *\n",
        "usr/lib/systemd/system/multi-user.target": b"",
        "etc/systemd/system/default.target": b"NVIDIA's questions",
    }
    disk.write_files(files, folder)
    for unit in ("nvfancontrol", "nv-l4t-bootloader-config", "nv_update_verifier", "nv-oem-config", "ssh"):
        link = folder / f"etc/systemd/system/multi-user.target.wants/{unit}.service"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/usr/lib/systemd/system/{unit}.service")
    return folder

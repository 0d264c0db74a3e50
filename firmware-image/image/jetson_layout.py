# SPDX-License-Identifier: Apache-2.0
"""What lies where on a Jetson's NVMe: NVIDIA's own layout file for two root slots, changed for ours.

NVIDIA's loader takes a kernel out of the partitions APP and APP_b. They keep their names and numbers and become small
boot partitions; the systems get partitions of their own behind them, and what is free behind those is for the data.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from image.disk import MIB, Partition, Table
from image.errors import ImageError

NVIDIAS = "tools/kernel_flash/flash_l4t_t234_nvme_rootfs_ab.xml"
OURS = "tools/kernel_flash/visavis_t234_nvme.xml"
# A content -> what its file is called where NVIDIA's tool looks for it.
FILES = {"first": "visavis-first.img", "boot": "visavis-boot.img", "root": "visavis-root.img"}
# It would be the owner's, and lies before the others, where it cannot grow.
DROPPED = "UDA"
LAST = "secondary_gpt"
NO_NUMBER = ("protective_master_boot_record", "primary_gpt", "secondary_gpt")
REMEDY = "take the files of a JetPack 6 (Jetson Linux 36), for which this was written"


def write(tree: Path, table: Table) -> Path:
    """Write our layout beside NVIDIA's in its tree.

    Raises:
        ImageError: NVIDIA's is not there, or lacks what is changed.
    """
    source, target = tree / NVIDIAS, tree / OURS
    try:
        text = source.read_text()
    except OSError as error:
        raise ImageError(f"{source} cannot be read ({error.strerror}): {REMEDY}") from error
    target.write_text(changed(text, table))
    return target


def changed(text: str, table: Table) -> str:
    """NVIDIA's layout with the partitions of a table: those that it has are changed, the others added at the end.

    Raises:
        ImageError: it is no layout, or lacks a partition that has to be there.
    """
    try:
        layout = ET.fromstring(text)  # noqa: S314 (NVIDIA's own file, whose sum was checked)
    except ET.ParseError as error:
        raise ImageError(f"{NVIDIAS} is no XML ({error}): {REMEDY}") from error
    device = layout.find("device[@type='external']")
    if device is None:
        raise ImageError(f"{NVIDIAS} has no external device: {REMEDY}")
    number = sum(part.get("type") not in NO_NUMBER for part in device.iter("partition"))
    device.remove(named(device, DROPPED))
    for part in table.partitions:
        if part.label in ("APP", "APP_b"):
            change(named(device, part.label), part)
        else:
            number += 1
            device.insert(list(device).index(named(device, LAST)), added(part, number))
    ET.indent(layout, "    ")
    return ET.tostring(layout, encoding="unicode", xml_declaration=True) + "\n"


def named(device: ET.Element, name: str) -> ET.Element:
    """A partition.

    Raises:
        ImageError: there is none of that name.
    """
    part = device.find(f"partition[@name='{name}']")
    if part is None:
        raise ImageError(f"{NVIDIAS} has no partition {name}: {REMEDY}")
    return part


def change(part: ET.Element, ours: Partition) -> None:
    """Another size and content; what else NVIDIA's tool wants to know of it stays.

    Raises:
        ImageError: it has no place for them.
    """
    for name, value in (("size", str(ours.size_mib * MIB)), ("filename", FILES["boot"])):
        field = part.find(name)
        if field is None:
            raise ImageError(f"{NVIDIAS}: the partition {part.get('name')} has no {name}: {REMEDY}")
        field.text = f" {value} "


def added(part: Partition, number: int) -> ET.Element:
    """A partition in NVIDIA's words. Its number is told, for those that are not told would follow that of APP_b."""
    element = ET.Element("partition", name=part.label, id=str(number), type="data")
    fields = {
        "allocation_policy": "sequential",
        "filesystem_type": "basic",
        "size": str(part.size_mib * MIB),
        "file_system_attribute": "0",
        "allocation_attribute": "0x8",
        "partition_type_guid": part.type,
        "align_boundary": str(MIB),
        "percent_reserved": "0",
    }
    if part.filled_with:
        fields["filename"] = FILES[part.filled_with]
    for name, value in fields.items():
        ET.SubElement(element, name).text = f" {value} "
    return element

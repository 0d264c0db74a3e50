# SPDX-License-Identifier: Apache-2.0
"""Says which board waits in recovery mode at a USB port, and refuses when it is not the only one or at another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# NVIDIA's boards say APX in their boot ROM, whatever their number; Broadcom's boot ROMs have these.
NVIDIA, APX = "0955", "APX"
BROADCOM, BOOT_ROMS = "0a5c", {"2711": "Raspberry Pi 4", "2712": "Raspberry Pi 5", "2763": "Raspberry Pi 3"}


def main() -> int:
    """Print the board and exit 0, or say why not and exit 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", required=True, help="its name in /sys/bus/usb/devices, such as 1-2")
    parser.add_argument("--devices", type=Path, default=Path("/sys/bus/usb/devices"))
    args = parser.parse_args()
    found = {one.name: board for one in sorted(args.devices.iterdir()) if (board := board_of(one))}
    if set(found) != {args.port}:
        there = ", ".join(f"{board} at {port}" for port, board in found.items()) or "none"
        print(f"card: one board in recovery mode is wanted, at {args.port}; there is {there}", file=sys.stderr)
        return 1
    print(found[args.port])
    return 0


def board_of(device: Path) -> str:
    """Which board waits there; "" for every other thing at USB."""
    vendor, number, product = (read(device / name) for name in ("idVendor", "idProduct", "product"))
    if vendor == NVIDIA and product == APX:
        return f"Jetson {number}"
    return BOOT_ROMS.get(number, "") if vendor == BROADCOM else ""


def read(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's firmware with two root slots, as far as it decides which one starts, and its tool. Its slots lie in a file
here, in UEFI variables and a register there.
"""

from __future__ import annotations

from visavis.update.boot.sector import lines, values

MOST_TRIES = "3"
FRESH = "current=0\nactive=0\nstatus0=normal\nstatus1=normal\nretry0=3\nretry1=3\n"
# As NVIDIA's tool answers (Jetson Linux 35.2 and later):
NVBOOTCTRL = """#!/bin/sh
set -eu
cd {folder}
. ./slots
save() {{ printf 'current=%s\\nactive=%s\\nstatus0=%s\\nstatus1=%s\\nretry0=%s\\nretry1=%s\\n' \\
	"$current" "$active" "$status0" "$status1" "$retry0" "$retry1" >slots; }}
[ "$*" != verify ] || {{ eval "retry$current=3"; save; exit; }}
[ "$1 $2" = "-t rootfs" ] || exit 1
case $3 in
dump-slots-info)
	letter() {{ [ "$1" = 0 ] && echo A || echo B; }}
	echo "Current rootfs slot: $(letter "$current")"
	echo "Active rootfs slot: $(letter "$active")"
	echo "num_slots: 2"
	echo "slot: 0,             retry_count: $retry0,             status: $status0"
	echo "slot: 1,             retry_count: $retry1,             status: $status1"
	;;
set-active-boot-slot) active=$4; save ;;
*) echo "unknown command" >&2; exit 1 ;;
esac
"""


def started(slots: str, power_was_off: bool = False) -> tuple[str, str]:
    """Which slot the firmware starts, and what it has noted then; its register of tries does not outlive the power.

    So say NVIDIA's people of Jetson Linux 35 (developer forum, topics 277168 and 364887).
    """
    now = values(slots)
    if power_was_off:
        now |= {"retry0": MOST_TRIES, "retry1": MOST_TRIES}
    at = now["active"]
    if now[f"retry{at}"] == "0":
        now[f"status{at}"], at = "unbootable", str(1 - int(at))
    now.update({"active": at, "current": at, f"retry{at}": str(int(now[f"retry{at}"]) - 1)})
    return "AB"[int(at)], lines(now)

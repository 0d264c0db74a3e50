# SPDX-License-Identifier: Apache-2.0
"""The gate between a new system and its being kept: it is marked good only when it does its work.

A slot that has proved itself once is marked good at each boot without a look at cameras: an unplugged one is no reason
to boot an older system.
"""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from visavis.addresses import BAD_ADDRESS
from visavis.errors import UpdateError
from visavis.loopback import get
from visavis.programs import ran
from visavis.update.boot import BootLoader
from visavis.update.chosen import is_chosen, network_is_lost
from visavis.update.said import last_line

ANSWER_LIMIT_S = 10.0
PERIOD_S = 2.0
# /readyz is 200 when a worker is ready and a camera has a result, or none is configured.
QUESTIONS = ("/healthz", "/readyz")
# The first stage of an image makes the one where what the device keeps was not found, the other one also where it can
# only be read. Then no boot can be counted, and who started again would do so for ever.
DATA_LOST, IN_MEMORY = Path("/run/visavis-data-lost"), Path("/run/visavis-in-memory")


def what_is_wrong(url: str) -> str:
    """One sentence about what keeps the device, whose page is at `url`, from being healthy; empty when it is."""
    for path in QUESTIONS:
        try:
            get(url + path, ANSWER_LIMIT_S).close()
        except urllib.error.HTTPError as error:
            return f"{path} answers {error.code}"
        except (OSError, HTTPException, *BAD_ADDRESS) as error:
            return f"{path} does not answer: {error}"
    return "the device has no network any more, and had one when this system was chosen" if network_is_lost() else ""


def wait_until_healthy(url: str, limit_s: float) -> None:
    """Return as soon as the appliance is healthy.

    Raises:
        UpdateError: it is not within `limit_s`; with what was wrong last.
    """
    end_s = time.monotonic() + limit_s
    while wrong := what_is_wrong(url):
        if time.monotonic() > end_s:
            raise UpdateError(f"not healthy within {limit_s:g} s: {wrong}", "look into `journalctl -b`")
        time.sleep(PERIOD_S)


def on_trial(loader: BootLoader, slot: str) -> bool:
    """Whether the running slot has to prove itself yet.

    Raises:
        UpdateError: the boot loader's notes cannot be read. If this slot was chosen by an update, a restart has begun.
    """
    try:
        return loader.on_trial(slot)
    except UpdateError:
        if is_chosen(slot) and boots_count():
            restart_device()
        raise


def must_have_data() -> None:
    """Give up a system that does not find what the device keeps: it would play the demo, without a network or a name.

    Raises:
        UpdateError: it runs on memory alone.
    """
    if DATA_LOST.exists():
        raise UpdateError("this system cannot use the data partition", "look into `journalctl -b`")


@contextmanager
def or_restart() -> Iterator[None]:
    """Start again when the block finds something wrong, by which the boots of a slot on trial run out.

    Raises:
        UpdateError: that of the block; a restart has begun, unless the disk can only be read.
    """
    try:
        yield
    except UpdateError:
        if boots_count():
            restart_device()
        raise


def boots_count() -> bool:
    """Whether a restart leads anywhere: not where the disk can only be read."""
    return DATA_LOST.exists() or not IN_MEMORY.exists()


def restart_device() -> None:
    """Go down and start again; returns at once.

    Raises:
        UpdateError: systemd refuses.
    """
    done = ran(["systemctl", "reboot", "--no-block"])
    if done.returncode != 0:
        raise UpdateError(f"the device does not restart: {last_line(done.stderr)}", "restart it yourself")

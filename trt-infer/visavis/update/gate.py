# SPDX-License-Identifier: Apache-2.0
"""The gate between a new system and its being kept: it is marked good only when it does its work.

A slot that has proved itself once is marked good at each boot without a look at cameras: an unplugged one is no reason
to boot an older system.
"""

from __future__ import annotations

import subprocess
import time
import urllib.error
from http.client import HTTPException

from visavis.addresses import BAD_ADDRESS
from visavis.errors import UpdateError
from visavis.loopback import get
from visavis.update.said import last_line

ANSWER_LIMIT_S = 10.0
PERIOD_S = 2.0
# /readyz is 200 when a worker is ready and a camera has a result, or none is configured.
QUESTIONS = ("/healthz", "/readyz")


def what_is_wrong(url: str) -> str:
    """One sentence about what keeps the appliance at `url` from being healthy; empty when it is."""
    for path in QUESTIONS:
        try:
            get(url + path, ANSWER_LIMIT_S).close()
        except urllib.error.HTTPError as error:
            return f"{path} answers {error.code}"
        except (OSError, HTTPException, *BAD_ADDRESS) as error:
            return f"{path} does not answer: {error}"
    return ""


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


def wait_or_restart(url: str, limit_s: float) -> None:
    """As `wait_until_healthy`; but if it is not, start again, by which the boots of a slot on trial run out.

    Raises:
        UpdateError: it is not healthy within `limit_s`; a restart has begun.
    """
    try:
        wait_until_healthy(url, limit_s)
    except UpdateError:
        restart_device()
        raise


def restart_device() -> None:
    """Go down and start again; returns at once.

    Raises:
        UpdateError: systemd refuses.
    """
    done = subprocess.run(["systemctl", "reboot", "--no-block"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UpdateError(f"the device does not restart: {last_line(done.stderr)}", "restart it yourself")

# SPDX-License-Identifier: Apache-2.0
"""Waits until the device at a page is ready, it has inferred a frame since its start, and prints its status.

Seconds are counted, not tries: on a small board a try can take ten of them. It is run on the device, as root, by
whatever python3 is there. Where the device wants logins, the daemon has left a token for root that only looks.
"""

from __future__ import annotations

import http.client
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ANSWER_S = 30.0
PAUSE_S = 1.0
TOKEN = re.compile(rb"[0-9A-Za-z_.-]{1,200}")


class NotReadyError(Exception):
    """Why it is not ready, or does not tell its status."""


def main(page: str, limit_s: float, token: Path) -> int:
    """Print its status and exit 0 when it is ready; exit 1 with the reason when it is not within `limit_s`."""
    end_s = time.monotonic() + limit_s
    while True:
        try:
            answer(page + "/readyz")
            print(answer(page + "/api/v1/status", token))
        except NotReadyError as error:
            if time.monotonic() >= end_s:
                print(error, file=sys.stderr)
                return 1
        else:
            return 0
        time.sleep(PAUSE_S)


def answer(url: str, token: Path | None = None) -> str:
    """What it answers, to the token in this file if there is one.

    Raises:
        NotReadyError: it refuses, or nobody answers.
    """
    this_very_machine = ssl._create_unverified_context()  # noqa: S323 (its certificate may name another)
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=this_very_machine)
    )
    try:
        sent = {"Authorization": f"Bearer {read(token)}"} if token and token.exists() else {}
        with direct.open(urllib.request.Request(url, headers=sent), timeout=ANSWER_S) as answered:  # noqa: S310
            return str(answered.read().decode())
    except urllib.error.HTTPError as error:
        hint = f"; see in `journalctl -u visavis-capture` why {token} lets nobody in" if error.code == 401 else ""
        raise NotReadyError(f"{url} says {error.code} {error.reason}{hint}") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"nobody answers at {url}: {error}") from error


def read(token: Path) -> str:
    """The token; it lies where the daemon's user may put anything, and what it leads to is nobody's to see.

    Raises:
        NotReadyError: it is none.
    """
    try:
        with open(os.open(token, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            text = file.read(201) or b""
    except OSError as error:
        raise NotReadyError(f"{token} cannot be read: {error.strerror}") from error
    if not TOKEN.fullmatch(text):
        raise NotReadyError(f"{token} holds no token")
    return text.decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))

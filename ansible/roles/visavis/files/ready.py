# SPDX-License-Identifier: Apache-2.0
"""Waits until the device at a page is ready: it has inferred a frame since its start.

Seconds are counted, not tries: on a small board a try can take ten of them. It is run on the device by whatever
python3 is there.
"""

from __future__ import annotations

import http.client
import ssl
import sys
import time
import urllib.error
import urllib.request

ANSWER_S = 30.0
PAUSE_S = 1.0


def main(page: str, limit_s: float) -> int:
    """Exit 0 when it is ready; 1 with the reason when it is not within `limit_s`."""
    end_s = time.monotonic() + limit_s
    while why := refusal(page):
        if time.monotonic() >= end_s:
            print(why, file=sys.stderr)
            return 1
        time.sleep(PAUSE_S)
    return 0


def refusal(page: str) -> str:
    """Why it is not ready; empty when it is."""
    this_very_machine = ssl._create_unverified_context()  # noqa: S323 (its certificate may name another)
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=this_very_machine)
    )
    try:
        direct.open(f"{page}/readyz", timeout=ANSWER_S).close()
    except urllib.error.HTTPError as error:
        return f"{page}/readyz says {error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return f"nobody answers at {page}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))

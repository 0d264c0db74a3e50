# SPDX-License-Identifier: Apache-2.0
"""Questions to the daemon on this machine, over HTTP: past any proxy, and whatever name its certificate holds."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Mapping
from functools import cache
from http.client import HTTPResponse
from typing import cast


def get(url: str, limit_s: float, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Ask with GET; the answer is to be closed.

    Args:
        url: of this machine, http or https.
        limit_s: how long each step may take.
        headers: what to send beside the usual.

    Raises:
        OSError: it does not answer; urllib.error.HTTPError, one of them, when it answers with an error.
        http.client.HTTPException: it answers something else than HTTP.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - http or https, see above
    return cast(HTTPResponse, _opener().open(request, timeout=limit_s))


@cache
def _opener() -> urllib.request.OpenerDirector:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It is this machine, over loopback: its certificate may hold other names only.
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    # Without the empty one, urllib takes $http_proxy, which is meant for other machines and knows nothing of ours.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))

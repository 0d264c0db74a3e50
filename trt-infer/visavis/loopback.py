# SPDX-License-Identifier: Apache-2.0
"""The daemon on this machine: a port for it, and questions over HTTP, past any proxy and whatever its certificate."""

from __future__ import annotations

import socket
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


def reserved_port() -> int:
    """A port of 127.0.0.1 that a server which is started now finds free: for a minute nobody gets it who asks for any.

    The kernel remembers a connection that the server's side closed (TIME_WAIT), and lets only servers that name its
    port listen there, as nearly all do with SO_REUSEADDR.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    return port


@cache
def _opener() -> urllib.request.OpenerDirector:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # It is this machine, over loopback: its certificate may hold other names only.
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    # Without the empty one, urllib takes $http_proxy, which is meant for other machines and knows nothing of ours.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))

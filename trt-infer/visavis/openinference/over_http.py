# SPDX-License-Identifier: Apache-2.0
"""The protocol over HTTP: one kept connection, tensors as bytes behind the JSON, or inside it for servers without that.

A deadline bounds each request as a whole, also against a server that sends one byte now and then: every wait on the
socket gets what is left of it. The server's name is resolved at the first request, which opens the server, and never
while a frame waits.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np

from visavis.families.family import Floats
from visavis.openinference.endpoint import (
    Deadline,
    Endpoint,
    ServerLost,
    ServerUnfit,
    bad_certificate,
    cleaned,
    refused_token,
    too_late,
)
from visavis.openinference.names import Address
from visavis.openinference.tensors import INPUT, MOST_ANSWER_BYTES, Metadata, Pictures, floats, in_order
from visavis.threads import MORE_THREADS

JSON_LENGTH = "Inference-Header-Content-Length"
# What a proxy or a server says when another attempt may find it better: bad gateway, unavailable, gateway's time-out.
PASSING = {502, 503, 504}
BUSY = {408, 429}
TOKEN_REFUSED = {401, 403}
# For an answer's head, and what stands between its chunks.
HEAD_BYTES = 1024 * 1024
# What reading an answer's JSON raises; a deep one is no DecodeError.
MALFORMED = (msgspec.DecodeError, RecursionError)
# Answers that say nothing about the form of the request.
OTHER_REASONS = {*TOKEN_REFUSED, *BUSY, *PASSING}


class Http:
    """A server over http:// or https://; see `visavis.openinference.tensors.Server`.

    Args:
        where: the server and its model.
        outputs: the names of the outputs that are wanted, in order.

    Raises:
        ServerLost: the file with certificates cannot be read.
        ServerUnfit: it cannot be used.
    """

    def __init__(self, where: Endpoint, outputs: Sequence[str]) -> None:
        self._where, self._outputs = where, list(outputs)
        self._connection = _Connection(where, where.trust())
        self._at = f"{where.path}/v2/models/{quote(where.model, safe='')}"
        # Not known before a picture is answered: servers that take bytes do not all say so.
        self.binary: bool | None = None

    def metadata(self, deadline: Deadline) -> Metadata:
        """See `Server.metadata`."""
        reply = self._ask("GET", self._at, [], {}, deadline)
        _judge(reply)
        try:
            return msgspec.json.decode(reply.content, type=Metadata)
        except MALFORMED as error:
            raise ServerUnfit(
                f"{self._where} does not speak the Open Inference Protocol, {error}", "check detector.kserve_url"
            ) from error

    def infer(self, pictures: Pictures, deadline: Deadline) -> list[Floats]:
        """See `Server.infer`."""
        if self.binary is None:
            self.binary = self._takes_bytes(pictures, deadline)
        ask = self._as_json if self.binary is False else self._as_bytes
        reply = ask(pictures, deadline)
        _judge(reply)
        return in_order(_tensors(reply), self._outputs)

    def close(self) -> None:
        """See `Server.close`."""
        self._connection.close()

    def _takes_bytes(self, pictures: Pictures, deadline: Deadline) -> bool | None:
        status = self._as_bytes(pictures, deadline).status
        if status in OTHER_REASONS:
            return None
        if status != 200:
            # MLServer closes the connection over what it does not understand.
            self.close()
        return status == 200

    def _as_bytes(self, pictures: Pictures, deadline: Deadline) -> _Reply:
        flat = np.ascontiguousarray(pictures).data.cast("B")
        head = msgspec.json.encode(
            {
                "inputs": [_said(pictures) | {"parameters": {"binary_data_size": len(flat)}}],
                "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in self._outputs],
                "parameters": {"binary_data_output": True},
            }
        )
        headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
        return self._ask("POST", f"{self._at}/infer", [head, flat], headers, deadline)

    def _as_json(self, pictures: Pictures, deadline: Deadline) -> _Reply:
        body = msgspec.json.encode(
            {
                "inputs": [_said(pictures) | {"data": pictures.ravel().tolist()}],
                "outputs": [{"name": name} for name in self._outputs],
            }
        )
        return self._ask("POST", f"{self._at}/infer", [body], {"Content-Type": "application/json"}, deadline)

    def _ask(
        self, method: str, path: str, body: Sequence[bytes | memoryview], headers: dict[str, str], deadline: Deadline
    ) -> _Reply:
        token = self._where.token()
        headers = headers | {"Content-Length": str(sum(map(len, body)))} | _bearer(token)
        with contextlib.ExitStack() as broken:
            # Half a request or half an answer may be in it: of no use any more.
            broken.callback(self._connection.close)
            broken.callback(self._connection.judged, False)
            reply = self._connection.ask(method, path, body, headers, deadline)
            broken.pop_all()
        self._connection.judged(reply.status == 200)
        return reply if reply.status == 200 else reply.without(token)


class _Reply(NamedTuple):
    status: int
    json_length: str | None
    content: bytes

    def without(self, token: str) -> _Reply:
        """The same for a log: careless servers and proxies repeat the request in their refusal."""
        return self._replace(content=self.content.replace(token.encode(), b"...")) if token else self


class _Connection(http.client.HTTPConnection):
    """A kept connection whose every wait ends with the deadline; connects again to the address that answered."""

    def __init__(self, where: Endpoint, context: ssl.SSLContext | None) -> None:
        super().__init__(where.host, where.port)
        self._where, self._context = where, context
        self._address: Address | None = None
        self._deadline = Deadline(0)
        self.response_class = self._timed_response  # type: ignore[assignment]  # any callable will do

    def ask(
        self, method: str, path: str, body: Sequence[bytes | memoryview], headers: dict[str, str], deadline: Deadline
    ) -> _Reply:
        """Send one request and read all of its answer."""
        self._deadline = deadline
        try:
            if self.sock is None:
                self.connect()
            # A server that refuses may answer and close before it has read the picture: its answer says more.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.request(method, path, body or None, headers)
            response = self.getresponse()
            return _Reply(response.status, response.getheader(JSON_LENGTH), _content(response))
        except TimeoutError as error:
            raise too_late() from error
        except ssl.SSLCertVerificationError as error:
            raise bad_certificate(error.verify_message) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a chunk's length below 0
            words = cleaned(str(error)) or type(error).__name__
            raise ServerLost(f"the connection to {self._where} failed, {words}", again=True) from error

    def judged(self, good: bool) -> None:
        """Have the next opening try the address of this one first, or last: one may take connections and no more."""
        if self._address is not None:
            remember = self._where.names.answered if good else self._where.names.failed
            remember(self._address)

    def connect(self) -> None:
        """Connect to the first address that takes it; from then on to that one alone, with all of a frame's time.

        At first none gets all of the time: one may drop whatever is sent to it.
        """
        if self._address is not None:
            self.sock = self._connected(self._address, self._deadline)
            return
        names = self._where.names
        addresses = names.best_first(_addresses(self._where, self._deadline.share(2)))
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                self.sock = self._connected(address, self._deadline.share(left))
            except (OSError, ServerLost):
                names.failed(address)
                if left == 1:
                    raise
            else:
                self._address = address
                return

    def _connected(self, to: Address, deadline: Deadline) -> socket.socket:
        family, kind, protocol, _, address = to
        with contextlib.ExitStack() as failed:
            sock = failed.enter_context(socket.socket(family, kind, protocol))
            sock.settimeout(deadline.left_s())
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock.settimeout(deadline.left_s())
                sock = self._context.wrap_socket(sock, server_hostname=self.host.partition("%")[0])  # no zone
            failed.pop_all()
        return sock

    def send(self, data: Any) -> None:
        """Send all of `data`, in time."""
        left = memoryview(data).cast("B")
        while left:
            self.sock.settimeout(self._deadline.left_s())
            left = left[self.sock.send(left) :]

    def _timed_response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, *args, **kwargs)
        # Its own reader knows a time-out for each packet only.
        raw = response.fp.detach()
        response.fp = io.BufferedReader(_TimedReader(raw, sock, self._deadline))
        return response


class _TimedReader(io.RawIOBase):
    """Reads one answer in time, and no more than one may hold, whatever length it says or leaves out."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline
        self._left = MOST_ANSWER_BYTES + HEAD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._left:
            raise _bad_length()
        self._sock.settimeout(self._deadline.left_s())
        came = self._raw.readinto(memoryview(buffer)[: self._left])
        self._left -= came or 0
        return came

    def close(self) -> None:
        self._raw.close()
        super().close()


def _addresses(where: Endpoint, deadline: Deadline) -> list[Address]:
    try:
        return where.names.found(where.host, where.port, deadline)
    except OSError as error:
        remedy = MORE_THREADS if error.errno == errno.EAGAIN else "check detector.kserve_url"
        raise ServerLost(f"cannot find {where.host}, {error.strerror}", remedy) from error


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _content(response: http.client.HTTPResponse) -> bytes:
    content = b"" if (response.length or 0) > MOST_ANSWER_BYTES else response.read(MOST_ANSWER_BYTES)
    if response.length or not response.isclosed():
        raise _bad_length()
    return content


def _bad_length() -> ServerLost:
    return ServerLost("the server's answer is cut, or too long")


def _judge(reply: _Reply) -> None:
    """Raise what a status that is not 200 means."""
    if reply.status == 200:
        return
    words = cleaned(f"{reply.status}: {reply.content[:1_000].decode(errors='replace')}")
    if reply.status in TOKEN_REFUSED:
        raise refused_token(words)
    if reply.status >= 500 or reply.status in BUSY:
        raise ServerLost(f"the server failed, {words}", again=reply.status in PASSING)
    raise ServerUnfit(f"the server refuses the request, {words}", "check detector.kserve_url and detector.model")


def _said(pictures: Pictures) -> dict[str, Any]:
    return {"name": INPUT, "datatype": "UINT8", "shape": list(pictures.shape)}


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _Answer(msgspec.Struct):
    outputs: list[_Output]


def _tensors(reply: _Reply) -> dict[str, Floats]:
    """Decode an answer: JSON, and behind it the bytes of those outputs that say how many they have."""
    whole = memoryview(reply.content)
    try:
        length = len(whole) if reply.json_length is None else int(reply.json_length)
        answer = msgspec.json.decode(whole[:length], type=_Answer)
    except (ValueError, *MALFORMED) as error:
        raise ServerLost(f"the server's answer does not follow the protocol, {error}") from error
    found: dict[str, Floats] = {}
    rest = whole[length:]
    for one in answer.outputs:
        size = (one.parameters or {}).get("binary_data_size")
        if size is not None and not (isinstance(size, int) and 0 <= size <= len(rest)):
            raise ServerLost(f"the server's output {one.name[:60]} says {size!r} bytes of {len(rest)}")
        found[one.name] = floats(one.name, one.datatype, one.shape, one.data if size is None else rest[:size])
        rest = rest[size or 0 :]
    return found

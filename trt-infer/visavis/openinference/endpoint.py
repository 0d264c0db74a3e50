# SPDX-License-Identifier: Apache-2.0
"""Where a model is served, what proves who we are, and how long we wait."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, urlsplit

import msgspec

from visavis.addresses import OF_PATHS, host_of, in_brackets, name_in_ascii
from visavis.errors import DetectorError, ModelError
from visavis.openinference.names import Names
from visavis.secret_files import NoSecret, secret_in, shown
from visavis.terminal import plain

PORTS = {"http": 80, "https": 443, "grpc": 8001, "grpcs": 443}
ENCRYPTED = {"https", "grpcs"}
MOST_TOKEN_BYTES = 16_384
MOST_WORDS = 200


class ServerLost(DetectorError):
    """The server did not answer as it should; another time it may.

    Args:
        again: whether a second attempt at once has a chance.
    """

    kind: ClassVar[str] = "server_lost"

    def __init__(self, sentence: str, remedy: str = "", *, again: bool = False) -> None:
        super().__init__(sentence, remedy)
        self.again = again


class ServerUnfit(ModelError):
    """The server refuses us, or serves something else: a person must change a setting here or a model there."""

    kind: ClassVar[str] = "server_unfit"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one server. `ca` and `token_file` are None for the system's certificates and for no token."""

    scheme: str
    host: str
    port: int
    path: str
    model: str
    ca: Path | None = None
    token_file: Path | None = None
    names: Names = msgspec.field(default_factory=Names)

    def __str__(self) -> str:
        return f"{self.scheme}://{in_brackets(self.host)}:{self.port}{self.path}"

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.scheme in ENCRYPTED

    def trust(self) -> ssl.SSLContext | None:
        """Whose word counts for who the server is; None where the connection is plain.

        Raises:
            ServerUnfit: the file holds no certificates.
            ServerLost: it cannot be read; while it is renewed it may not be there.
        """
        if not self.encrypted:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            lost = ServerUnfit if isinstance(error, ssl.SSLError) else ServerLost
            words = f"cannot use the certificates in {self.ca}, {error.strerror or error}"
            raise lost(words, "check detector.kserve_ca") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def token(self) -> str:
        """Read the bearer token, empty when there is none; each time, because clusters renew theirs every hour.

        Raises:
            ServerUnfit: the file holds no token, or the token would travel in clear.
            ServerLost: the file cannot be read.
        """
        if self.token_file is None:
            return ""
        if not (self.encrypted or _is_loopback(self.host)):
            raise ServerUnfit(
                f"a token may not travel to {self} in clear", "use https:// or grpcs:// in detector.kserve_url"
            )
        remedy = "write the token and nothing else into the file of detector.kserve_token_file"
        try:
            with self.token_file.open("rb") as file:
                token = secret_in(file.read(MOST_TOKEN_BYTES)).strip()  # none has blanks at its ends
        except OSError as error:
            name, other = shown(self.token_file)
            raise ServerLost(f"cannot read {name}, {error.strerror}", other or remedy) from error
        except NoSecret as error:
            raise ServerUnfit(f"{self.token_file} holds no token, it {error.sentence}", error.remedy) from error
        if not (token and all("!" <= letter <= "~" for letter in token)):
            raise ServerUnfit(f"{self.token_file} holds no token", remedy)
        return token


def endpoint(url: str, model: str, ca: Path | None = None, token_file: Path | None = None) -> Endpoint:
    """Take the address of a server apart.

    Raises:
        ServerUnfit: it is no address of a model server.
    """
    remedy = "write for example https://triton:8000 or grpc://triton:8001 into detector.kserve_url"
    try:
        parts = urlsplit(url)
        host, port = host_of(parts), parts.port
        # As the resolver will: it raises what no caller there expects.
        name_in_ascii(host)
    except ValueError as error:
        raise ServerUnfit(f"the address of the model server is refused, {error}", remedy) from error
    if parts.scheme not in PORTS or not host or parts.username or parts.query or parts.fragment:
        raise ServerUnfit("the address of the model server is missing or not one", remedy)
    return Endpoint(
        scheme=parts.scheme,
        host=host,
        port=port or PORTS[parts.scheme],
        path=quote(parts.path.rstrip("/"), safe=OF_PATHS),
        model=model,
        ca=ca,
        token_file=token_file,
    )


class Deadline:
    """A point in time that whatever we wait for must keep, however many steps it takes.

    Args:
        limit_ns: on CLOCK_MONOTONIC.
        stop: ends it at once.
    """

    def __init__(self, limit_ns: int, stop: threading.Event | None = None) -> None:
        self._limit_ns, self._stop = limit_ns, stop

    @classmethod
    def after(cls, wait_ms: float, stop: threading.Event | None = None) -> Deadline:
        """The deadline `wait_ms` from now."""
        return cls(time.monotonic_ns() + int(wait_ms * 1e6), stop)

    @property
    def passed(self) -> bool:
        """Whether it is over."""
        return time.monotonic_ns() >= self._limit_ns or (self._stop is not None and self._stop.is_set())

    def share(self, parts: int) -> Deadline:
        """The end of the first of as many equal parts of what is left.

        Raises:
            ServerLost: nothing is.
        """
        return Deadline.after(1_000 * self.left_s() / parts, self._stop)

    def left_s(self) -> float:
        """Seconds that are left, more than 0.

        Raises:
            ServerLost: none are.
        """
        left_ns = self._limit_ns - time.monotonic_ns()
        if left_ns <= 0 or self.passed:
            raise too_late()
        return left_ns / 1e9


def too_late() -> ServerLost:
    """What is raised when the server did not answer in time."""
    return ServerLost("the server did not answer in time")


def refused_token(words: str) -> ServerUnfit:
    """What is raised when the server does not let us in."""
    return ServerUnfit(f"the server refuses us, {words}", "check the token in detector.kserve_token_file")


def bad_certificate(words: str) -> ServerUnfit:
    """What is raised when the server cannot prove who it is."""
    return ServerUnfit(
        f"the server's certificate is refused, {words}",
        "name the authority that signed it in detector.kserve_ca, and the host as the certificate does",
    )


def cleaned(words: str) -> str:
    """A server's own words, short enough and safe for a log."""
    return " ".join(plain(words).split())[:MOST_WORDS]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

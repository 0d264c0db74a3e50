# SPDX-License-Identifier: Apache-2.0
"""Clients that do harm over gRPC. They write HTTP/2 frames themselves, since no library would send such ones.

Each attack returns what its clients were told, one Told for each connection.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import grpc
from visavis.openinference.protobuf import field, numbers

from tests.chaos.attacks import (
    ATTACK_LIMIT_S,
    BLOCK,
    GIANTS_S,
    GIBIBYTE,
    HOST,
    Piece,
    all_at_once,
    for_a_while,
    send,
    slow,
)

INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL = "centerface"
ATTACKER = "127.0.0.2"  # not the one of the client that behaves; no login is needed on loopback
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
FRAME_HEAD = 9  # bytes
END_HEADERS = 4
CLOSED, NO_END = "closed", "no end"
CONNECTIONS_MOST = 256  # connectionsMost in overgrpc/server.go
CALLS_MOST = 16  # callsMost there, of one connection
# How Go packs the field's name; a code has at most two digits, which it leaves as they are.
STATUS = re.compile(rb"\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f([\x01\x02])(\d\d?)", re.DOTALL)
NAMES: dict[bytes, str] = {str(code.value[0]).encode(): code.name for code in grpc.StatusCode}


class Told(NamedTuple):
    """The name of a code, CLOSED for a call or a connection that ended without one, or NO_END."""

    code: str
    took_s: float


def frame(kind: int, content: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def header(name: bytes, value: bytes) -> bytes:
    """A literal that nobody needs to remember (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def opening() -> bytes:
    """A connection as it should begin."""
    return PREFACE + frame(SETTINGS)


def call(announced: int, stream: int = 1) -> bytes:
    """The beginning of a call whose message will have so many bytes."""
    fields = {b":method": b"POST", b":scheme": b"http", b":path": INFER.encode(), b":authority": b"localhost"}
    fields |= {b"content-type": b"application/grpc", b"te": b"trailers"}
    head = frame(HEADERS, b"".join(header(*one) for one in fields.items()), flags=END_HEADERS, stream=stream)
    return head + frame(DATA, struct.pack(">BI", 0, announced), stream=stream)


async def ask(port: int, pieces: Iterator[Piece], source: str = ATTACKER) -> Told:
    """One connection: send the pieces, and take the code of the first call that ends, or the end of the connection."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
    sending = asyncio.create_task(send(writer, pieces))
    code = NO_END
    with suppress(asyncio.TimeoutError):
        code = await asyncio.wait_for(end_of_call(reader), ATTACK_LIMIT_S)
    sending.cancel()
    writer.transport.abort()
    return Told(code, time.monotonic() - began)


async def end_of_call(reader: asyncio.StreamReader) -> str:
    """Read frames until one ends the call, or no more come. What goes beyond the window gets no code but a reset."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(FRAME_HEAD)
            content = await reader.readexactly(int.from_bytes(head[:3], "big"))
            if head[3] in (RESET, GOAWAY):
                return CLOSED
            if head[3] == HEADERS and (found := STATUS.search(content)):
                return NAMES[found[2][: found[1][0]]]
    return CLOSED


def slow_calls(port: int, count: int) -> list[Told]:
    """Half of the clients never end the first bytes of their connection, the others not their message."""

    async def one(number: int) -> Told:
        if number % 2:
            return await ask(port, drops(PREFACE))
        return await ask(port, slow(opening() + call(100_000), frame(DATA, b"x", stream=1)))

    return all_at_once(count, one)


def scattered_calls(port: int, addresses: int, last_s: float = GIANTS_S) -> list[Told]:
    """A connection from each of many addresses, with as many calls as may be, whose messages hardly come.

    When a call ends, the next connection takes its place.
    """
    streams = range(1, 2 * CALLS_MOST, 2)
    heads = opening() + b"".join(call(100_000, stream) for stream in streams)
    drops = b"".join(frame(DATA, b"x", stream=stream) for stream in streams)

    async def one(number: int) -> Told:
        return await ask(port, slow(heads, drops), f"127.0.1.{1 + number}")

    return for_a_while(addresses, one, last_s)


def drops(content: bytes) -> Iterator[Piece]:
    """A byte each two seconds."""
    return (Piece(content[at : at + 1], 2.0) for at in range(len(content)))


def giant_calls(port: int, count: int, last_s: float = GIANTS_S) -> list[Told]:
    """A message of a GiB, again and again: half of the clients send as fast as they can, whatever the server allows."""
    block = b"".join(frame(DATA, BLOCK[:16_384], stream=1) for _ in range(4))

    async def one(number: int) -> Told:
        rest = itertools.repeat(Piece(block), GIBIBYTE // len(BLOCK)) if number % 2 else iter([Piece(b"")])
        return await ask(port, itertools.chain([Piece(opening() + call(GIBIBYTE))], rest))

    return for_a_while(count, one, last_s)


def idle_connections(port: int, count: int, meanwhile: Callable[[], None], source: str = HOST) -> int:
    """Open them, call `meanwhile` in a thread of its own, and go without a word; says how many were let in."""

    async def opened() -> tuple[bool, asyncio.StreamWriter | None]:
        try:
            reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
        except ConnectionResetError:  # HAProxy refuses before anything is sent
            return False, None
        writer.write(opening())
        answer = b""
        with suppress(OSError):
            answer = await asyncio.wait_for(reader.read(1), ATTACK_LIMIT_S)
        return bool(answer), writer

    async def run() -> int:
        all_of_them = await asyncio.gather(*(opened() for _ in range(count)))
        await asyncio.to_thread(meanwhile)
        for _, writer in all_of_them:
            if writer:
                writer.transport.abort()
        return sum(let_in for let_in, _ in all_of_them)

    return asyncio.run(run())


class HonestCaller:
    """A real client of gRPC, on one connection."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"{HOST}:{port}", (("grpc.use_local_subchannel_pool", 1),))
        self._infer = self._channel.unary_unary(INFER)

    def post(self, picture: bytes) -> Told:
        """One picture."""
        began = time.monotonic()
        try:
            self._infer(infer_request(picture), timeout=ATTACK_LIMIT_S)
        except grpc.RpcError as error:
            return Told(error.code().name, time.monotonic() - began)
        return Told("OK", time.monotonic() - began)

    def close(self) -> None:
        self._channel.close()


def infer_request(picture: bytes) -> bytes:
    """A ModelInferRequest (contracts/open_inference.proto)."""
    about = field(1, "image") + field(2, "BYTES") + numbers(3, [1])
    return field(1, MODEL) + field(5, about) + field(7, struct.pack("<I", len(picture)) + picture)

# SPDX-License-Identifier: Apache-2.0
"""Clients that do harm, many at a time: slow ones, idle ones, endless ones, and ones that go in the middle.

Each attack returns what its clients were told, one Reply for each connection.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
PROBLEM = b"application/problem+json"
UPGRADE = (
    "GET {route} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STREAM = UPGRADE.format(route="/api/v1/detect/stream").encode()
LIVE = UPGRADE.format(route="/api/v1/cameras/one/live").encode()
POST = "POST /api/v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
GIBIBYTE = 1 << 30
BLOCK = bytes(64 << 10)
READ_MOST = 64 << 10
ATTACK_LIMIT_S = 60.0
GIANTS_S = 8.0  # about as long as slow_loris lasts


class Reply(NamedTuple):
    """A status, 0 for a connection that was closed without one, and whether a refusal came as a problem."""

    status: int
    as_problem: bool
    took_s: float


class Piece(NamedTuple):
    """Bytes to send, and how long to wait before the next ones."""

    content: bytes
    pause_s: float = 0.0


def read_reply(answer: bytes, took_s: float) -> Reply:
    if not answer:
        return Reply(0, True, took_s)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status < 400:
        return Reply(status, True, took_s)
    with suppress(json.JSONDecodeError, KeyError):
        return Reply(status, PROBLEM in head and json.loads(body)["status"] == status, took_s)
    return Reply(status, False, took_s)


async def send(writer: asyncio.StreamWriter, pieces: Iterator[Piece]) -> None:
    """Send until the other end wants no more."""
    with suppress(OSError):
        for piece in pieces:
            writer.write(piece.content)
            await writer.drain()
            if piece.pause_s:
                await asyncio.sleep(piece.pause_s)


async def ask(port: int, pieces: Iterator[Piece]) -> Reply:
    """One connection: send the pieces, and take the first answer, whichever comes earlier."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(HOST, port)
    sending = asyncio.create_task(send(writer, pieces))
    answer = b""
    with suppress(OSError):
        answer = await asyncio.wait_for(reader.read(READ_MOST), ATTACK_LIMIT_S)
    took_s = time.monotonic() - began
    sending.cancel()
    writer.transport.abort()
    return read_reply(answer, took_s)


def all_at_once(count: int, one: Callable[[int], Coroutine[Any, Any, T]]) -> list[T]:
    """Run so many clients at the same time."""

    async def run() -> list[T]:
        return list(await asyncio.gather(*(one(number) for number in range(count))))

    return asyncio.run(run())


def for_a_while(count: int, one: Callable[[int], Coroutine[Any, Any, T]], last_s: float = GIANTS_S) -> list[T]:
    """Run so many clients at the same time; each begins anew when it has been answered, until `last_s` are over."""
    end_s = time.monotonic() + last_s

    async def client(number: int) -> list[T]:
        replies = []
        while time.monotonic() < end_s:
            replies.append(await one(number))
        return replies

    async def run() -> list[T]:
        each = await asyncio.gather(*(client(number) for number in range(count)))
        return list(itertools.chain.from_iterable(each))

    return asyncio.run(run())


def slow(head: bytes, drop: bytes, pause_s: float = 0.5) -> Iterator[Piece]:
    """A beginning, and then a little now and then."""
    return itertools.chain([Piece(head)], itertools.repeat(Piece(drop, pause_s)))


def slow_loris(port: int, count: int) -> list[Reply]:
    """Half of the clients never come to the end of their headers, the others not to that of their body."""
    body = POST.format(kind="image/jpeg", length="Content-Length: 100000").encode()

    def one(number: int) -> Coroutine[Any, Any, Reply]:
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" if number % 2 else body
        return ask(port, slow(head, b"X-A: b\r\n" if number % 2 else b"x"))

    return all_at_once(count, one)


def idle_websockets(port: int, count: int, meanwhile: Callable[[], None]) -> list[Reply]:
    """Open them all, call `meanwhile` in a thread of its own, and go without a word."""

    async def opened() -> tuple[Reply, asyncio.StreamWriter]:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(STREAM)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ATTACK_LIMIT_S)
        return read_reply(answer, time.monotonic() - began), writer

    async def run() -> list[Reply]:
        open_now = await asyncio.gather(*(opened() for _ in range(count)))
        await asyncio.to_thread(meanwhile)
        for _, writer in open_now:
            writer.transport.abort()
        return [reply for reply, _ in open_now]

    return asyncio.run(run())


def chunks() -> Iterator[Piece]:
    """64 KiB after 64 KiB in chunked transfer encoding, a GiB in all."""
    return itertools.repeat(Piece(b"10000\r\n" + BLOCK + b"\r\n"), GIBIBYTE // len(BLOCK))


def blocks() -> Iterator[Piece]:
    return itertools.repeat(Piece(BLOCK), GIBIBYTE // len(BLOCK))


def giants(port: int, count: int) -> list[Reply]:
    """A GiB in one request, again and again: announced, in chunks that announce nothing, and as JSON."""
    declared = [
        POST.format(kind=kind, length=f"Content-Length: {GIBIBYTE}") for kind in ("image/png", "application/json")
    ]
    chunked = [
        POST.format(kind=kind, length="Transfer-Encoding: chunked") for kind in ("image/png", "application/json")
    ]

    def one(number: int) -> Coroutine[Any, Any, Reply]:
        heads, rest = (declared, blocks) if number % 2 else (chunked, chunks)
        return ask(port, itertools.chain([Piece(heads[number // 2 % 2].encode())], rest()))

    return for_a_while(count, one)


def giant_messages(port: int, count: int) -> list[Reply]:
    """A message of a GiB, again and again. Status 1009 is the WebSocket's "too big", 0 a connection that was closed."""

    async def one(number: int) -> Reply:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(STREAM)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ATTACK_LIMIT_S)
        frame = b"\x82\xff" + struct.pack(">Q", GIBIBYTE) + bytes(4)
        sending = asyncio.create_task(send(writer, itertools.chain([Piece(frame)], blocks())))
        answer = b""
        with suppress(OSError):
            answer = await asyncio.wait_for(reader.read(READ_MOST), ATTACK_LIMIT_S)
        sending.cancel()
        writer.transport.abort()
        code = struct.unpack(">H", answer[2:4])[0] if answer[:1] == b"\x88" else 0
        return Reply(code, True, time.monotonic() - began)

    return for_a_while(count, one)


def departures(port: int, count: int, picture: bytes) -> None:
    """Go, with a reset, in the middle of headers, a body, the wait for an answer, a stream, a frame of a WebSocket."""
    whole = POST.format(kind="image/jpeg", length=f"Content-Length: {len(picture)}").encode() + picture
    frame = b"\x82\xfe" + struct.pack(">H", 1000) + bytes(4)
    moments: list[tuple[bytes, int]] = [  # what is sent, and how much of the answer is read before
        (b"GET /api/v1/status HTT", 0),
        (whole[:300], 0),
        (whole, 0),
        (STREAM + frame, 0),
        (STREAM + frame, 1),
        (LIVE, 1000),
        (b"GET /api/v1/cameras/two/stream.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000),
    ]

    async def go(number: int) -> Reply:
        sent, least = moments[number % len(moments)]
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(sent)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            await asyncio.wait_for(reader.readexactly(least), 5)
        writer.transport.abort()
        return Reply(0, True, 0.0)

    for _ in range(count // 50):
        all_at_once(50, go)

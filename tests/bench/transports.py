# SPDX-License-Identifier: Apache-2.0
"""The ways in which people hand frames to a Python process today, each as one sender and one receiver process.

A rival is a function that sends `count` frames at a pace and one that receives them and returns the latencies in
microseconds: from "the frame is ready in the sender" to "a NumPy array of it exists in the receiver". The moment of
sending travels with the frame (CLOCK_MONOTONIC). Rivals are helped where they can be: kept connections, raw bytes
instead of protobuf, large windows, no copies where the library allows.
"""

from __future__ import annotations

import http.client
import http.server
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from multiprocessing import shared_memory
from multiprocessing.connection import Client as socket_client
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import numpy as np

STAMP = struct.Struct("<q")
SLOTS = 4
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it reports each orderly end of a connection


class Pace:
    """Yields `count` times, one each `interval_s`, with every byte of `frame` written anew as a camera would.

    A late turn does not delay the next.
    """

    def __init__(self, count: int, interval_s: float, frame: bytearray) -> None:
        self._count, self._interval_s, self._frame = count, interval_s, frame

    def __iter__(self) -> Iterator[int]:
        pixels = np.frombuffer(self._frame, np.uint8)
        start = time.perf_counter()
        for index in range(self._count):
            time.sleep(max(0.0, start + index * self._interval_s - time.perf_counter()))
            pixels.fill(index % 256)
            yield index


def stamp() -> bytes:
    """The present moment as it travels."""
    return STAMP.pack(time.monotonic_ns())


def latency_us(sent: bytes | memoryview) -> float:
    """Microseconds since `sent` was stamped."""
    return float(time.monotonic_ns() - STAMP.unpack_from(sent)[0]) / 1_000


def as_frame(data: bytes | bytearray | memoryview, shape: tuple[int, int, int]) -> None:
    """Make the array a detector would take; its existence is the end of the measurement."""
    frame = np.frombuffer(data, np.uint8).reshape(shape)
    assert frame.size > 0


def unix_stream_send(path: Path, frame: bytearray, pace: Pace) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        for _ in pace:
            connection.sendall(stamp())
            connection.sendall(frame)


def unix_stream_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    buffer, head = bytearray(int(np.prod(shape))), bytearray(STAMP.size)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        ready.set()
        connection, _ = listener.accept()
        with connection:
            return [receive_stream_frame(connection, head, buffer, shape) for _ in range(count)]


def receive_stream_frame(
    connection: socket.socket, head: bytearray, buffer: bytearray, shape: tuple[int, int, int]
) -> float:
    receive_exactly(connection, memoryview(head))
    receive_exactly(connection, memoryview(buffer))
    as_frame(buffer, shape)
    return latency_us(memoryview(head))


def receive_exactly(connection: socket.socket, into: memoryview) -> None:
    while into:
        into = into[connection.recv_into(into) :]


def zeromq_send(path: Path, frame: bytearray, pace: Pace) -> None:
    import zmq  # noqa: PLC0415 (only the rival needs it)

    with zmq.Context() as context, context.socket(zmq.PUSH) as out:
        out.connect(f"ipc://{path}")
        for _ in pace:
            out.send_multipart([stamp(), frame], copy=False)


def zeromq_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    import zmq  # noqa: PLC0415

    latencies = []
    with zmq.Context() as context, context.socket(zmq.PULL) as incoming:
        incoming.bind(f"ipc://{path}")
        ready.set()
        for _ in range(count):
            head, frame = incoming.recv_multipart(copy=False)
            as_frame(frame.buffer, shape)
            latencies.append(latency_us(head.buffer))
    return latencies


class FrameHandler(http.server.BaseHTTPRequestHandler):
    """Takes one frame a POST over a kept connection."""

    protocol_version = "HTTP/1.1"
    shape: tuple[int, int, int]
    latencies: list[float]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        as_frame(memoryview(body)[STAMP.size :], self.shape)
        self.latencies.append(latency_us(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: a line for each request would be measured too."""


def http_send(path: Path, frame: bytearray, pace: Pace) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int((path.with_suffix(".port")).read_text()))
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in pace:
        connection.request("POST", "/", stamp() + frame)
        connection.getresponse().read()


def http_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    FrameHandler.shape, FrameHandler.latencies = shape, []
    with http.server.HTTPServer(("127.0.0.1", 0), FrameHandler) as server:
        path.with_suffix(".port").write_text(str(server.server_port))
        ready.set()
        server.handle_request()
    return FrameHandler.latencies


def grpc_send(path: Path, frame: bytearray, pace: Pace) -> None:
    import grpc  # noqa: PLC0415

    with grpc.insecure_channel(f"unix:{path}", options=GRPC_OPTIONS) as channel:
        call = channel.unary_unary("/frames/put", request_serializer=None, response_deserializer=None)
        for _ in pace:
            call(stamp() + frame)


GRPC_OPTIONS = [("grpc.max_receive_message_length", 1 << 26), ("grpc.max_send_message_length", 1 << 26)]


def grpc_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    import grpc  # noqa: PLC0415

    latencies: list[float] = []

    def put(request: bytes, _context: Any) -> bytes:
        as_frame(memoryview(request)[STAMP.size :], shape)
        latencies.append(latency_us(request))
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(1), options=GRPC_OPTIONS)
    method = grpc.unary_unary_rpc_method_handler(put)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("frames", {"put": method})])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    ready.set()
    while len(latencies) < count:
        time.sleep(0.01)
    server.stop(None)
    return latencies


def segment_name(path: Path, slot: int) -> str:
    """Named segments live in one flat namespace, so the name is made from the folder that is ours alone."""
    return f"{path.parent.name}-{slot}"


def memory(segment: shared_memory.SharedMemory) -> memoryview:
    """The bytes of an open segment."""
    assert segment.buf is not None
    return segment.buf


def shared_memory_send(path: Path, frame: bytearray, pace: Pace) -> None:
    """The usual pattern: copy into one of a few named segments, then tell its index and the moment through a queue."""
    segments = [shared_memory.SharedMemory(segment_name(path, slot)) for slot in range(SLOTS)]
    with socket_client(str(path)) as queue:
        for index in pace:
            moment = stamp()
            slot = index % SLOTS
            memory(segments[slot])[: len(frame)] = frame
            queue.send((slot, moment))
    for segment in segments:
        segment.close()


def shared_memory_receive(path: Path, shape: tuple[int, int, int], count: int, ready: Any) -> list[float]:
    size = int(np.prod(shape))
    segments = [shared_memory.SharedMemory(segment_name(path, slot), create=True, size=size) for slot in range(SLOTS)]
    latencies = []
    with Listener(str(path)) as listener:
        ready.set()
        with listener.accept() as queue:
            for _ in range(count):
                slot, moment = queue.recv()
                as_frame(memory(segments[slot])[:size], shape)
                latencies.append(latency_us(moment))
    for segment in segments:
        segment.close()
        segment.unlink()
    return latencies


Send = Callable[[Path, bytearray, Pace], None]
Receive = Callable[[Path, tuple[int, int, int], int, Any], list[float]]
RIVALS: dict[str, tuple[Send, Receive]] = {
    "shared_memory + queue": (shared_memory_send, shared_memory_receive),
    "unix stream": (unix_stream_send, unix_stream_receive),
    "ZeroMQ ipc": (zeromq_send, zeromq_receive),
    "HTTP": (http_send, http_receive),
    "gRPC": (grpc_send, grpc_receive),
}

# SPDX-License-Identifier: Apache-2.0
"""A daemon in a few lines, to say on purpose what the real one never says: for the edges of the protocol only."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from visavis import ring_gen as wire

from tests.waiting import HANG_S

WIDTH, HEIGHT = 64, 48
PAYLOAD = WIDTH * HEIGHT * 3
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | 0x10 | fcntl.F_SEAL_SEAL
INSTANCE = 0x1122334455667788
LOADED_S = 60.0  # nobody connects until its model is warm


def ring_add(ring_id: int = 1, slots: int = 3) -> wire.RingAdd:
    """What a daemon would say about a ring of small pictures."""
    return wire.RingAdd(
        ring_id=ring_id,
        slot_count=slots,
        file_size=wire.DATA_OFFSET + slots * wire.ALIGN,
        data_offset=wire.DATA_OFFSET,
        slot_stride=wire.ALIGN,
        stream_id=1,
        fourcc=wire.Fourcc.BGR3,
        width=WIDTH,
        height=HEIGHT,
        plane_count=1,
        align=wire.ALIGN,
        stream_name="door",
    )


def header_of(said: wire.RingAdd) -> wire.Header:
    """The ring header that goes with `said`."""
    return wire.Header(
        major=wire.MAJOR,
        minor=wire.MINOR,
        ring_id=said.ring_id,
        stream_id=said.stream_id,
        slot_count=said.slot_count,
        slot_header_stride=wire.SLOT_HEADER_STRIDE,
        slot_header_offset=wire.SLOT_HEADER_OFFSET,
        data_offset=said.data_offset,
        slot_stride=said.slot_stride,
        file_size=said.file_size,
        instance_id=INSTANCE,
        stream_name=said.stream_name,
    )


class Memory:
    """A memfd with a ring header, written through a mapping made before it was sealed."""

    def __init__(self, said: wire.RingAdd, *, header: wire.Header | None = None, seals: int = SEALS) -> None:
        self.fd = os.memfd_create("ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, said.file_size)
        self.map = mmap.mmap(self.fd, said.file_size)
        self.map[: wire.Header.SIZE] = (header or header_of(said)).pack()
        if seals:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def fill(self, slot: int, value: int) -> None:
        """Write `value` into every byte of a slot's picture."""
        start = wire.DATA_OFFSET + slot * wire.ALIGN
        self.map[start : start + PAYLOAD] = bytes([value]) * PAYLOAD

    def close(self) -> None:
        """Give descriptor and mapping back."""
        self.map.close()
        os.close(self.fd)


def frame(lease_id: int, **changed: object) -> wire.Frame:
    """A lease of slot 0 of ring 1; `changed` replaces fields."""
    made = wire.Frame(
        lease_id=lease_id,
        ring_id=1,
        slot=0,
        frame_seq=lease_id,
        captured_ns=time.monotonic_ns(),
        dispatched_ns=time.monotonic_ns(),
        lease_ms=wire.LEASE_MS,
        width=WIDTH,
        height=HEIGHT,
        fourcc=wire.Fourcc.BGR3,
        plane_count=1,
        payload_bytes=PAYLOAD,
        crc32c=0,
        superseded=0,
        scale=1.0,
        pad_x=0.0,
        pad_y=0.0,
        source_width=WIDTH,
        source_height=HEIGHT,
        planes=(wire.Plane(0, PAYLOAD, WIDTH * 3, HEIGHT),) + (wire.Plane(0, 0, 0, 0),) * 3,
    )
    for name, value in changed.items():
        setattr(made, name, value)
    return made


class DaemonDouble:
    """Listens on `path`; one peer at a time, accepted and welcomed in the background."""

    def __init__(
        self, path: Path, *, answer: bytes | None = None, clock_off_ns: int = 0, minor: int = wire.MINOR
    ) -> None:
        self.path, self._minor = path, minor
        self.hello: wire.Hello | None = None
        self._answer, self._clock_off_ns = answer, clock_off_ns
        self._peer: socket.socket | None = None
        self._ready = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    @property
    def peer(self) -> socket.socket:
        """The connection, once it was welcomed."""
        assert self._ready.wait(LOADED_S), "no worker connected"
        assert self._peer is not None
        return self._peer

    def send(self, packet: bytes, *fds: int) -> None:
        """Send one packet with descriptors."""
        if fds:
            socket.send_fds(self.peer, [packet], list(fds))
        else:
            self.peer.send(packet)

    def add(self, said: wire.RingAdd, memory: Memory) -> None:
        """Announce a ring."""
        self.send(said.pack(), memory.fd)

    def next(self) -> tuple[wire.Message, bytes]:
        """Wait for the worker's next message."""
        packet = self.peer.recv(1 << 17)
        assert packet, "the worker closed the connection"
        return wire.decode(packet), packet

    def result(self) -> wire.Result:
        """Wait for the worker's next RESULT."""
        message, _ = self.next()
        assert isinstance(message, wire.Result), message
        return message

    def hang_up(self) -> None:
        """Close the connection, as a daemon that dies does."""
        self.peer.close()

    def __enter__(self) -> DaemonDouble:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        if self._peer is not None:
            self._peer.close()
        self.path.unlink()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        peer.settimeout(HANG_S)
        self.hello = wire.Hello.unpack(peer.recv(4096))
        peer.send(self._answer or self._welcome())
        self._peer = peer
        self._ready.set()

    def _welcome(self) -> bytes:
        return wire.Welcome(
            major=wire.MAJOR,
            minor=self._minor,
            worker_id=7,
            instance_id=INSTANCE,
            credit=3,
            max_detections=100,
            lease_ms=wire.LEASE_MS,
            max_result_bytes=wire.MAX_RESULT_BYTES,
            now_ns=time.monotonic_ns() + self._clock_off_ns,
        ).pack()

# SPDX-License-Identifier: Apache-2.0
"""The worker's end of the frame hand-off: connect, borrow frames without a copy, answer.

    with connect(path, Identity("worker-1", "centerface@onnxruntime"), stop) as ring:
        for lease in ring.leases(stop):
            with lease as frame:        # (height, width, 3) uint8, read-only
                found = detect(frame)
            del frame                   # no view may be left when the lease ends
            lease.answer(found)

Say HELLO only when the model is loaded and warm: the daemon sends frames at once. Never fork after connecting: a child
that keeps the socket hides this process's death from the daemon.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic_ns
from types import TracebackType
from typing import NamedTuple, Protocol

from visavis import ring_gen as wire
from visavis.detections import Detections, Frame, sendable
from visavis.errors import BadMessage, ClockMismatch, DaemonGone, Refused, ViewLeaked
from visavis.ring_memory import REMEDY, Device, Ring

# How often an idle worker looks at `stop`, and how long silence must last before a drained connection is closed.
TICK_S = 0.1
SEND_LIMIT_S = 2.0
# Room for more descriptors than the one that is allowed, so that a second one is seen and closed.
ANCILLARY_BYTES = socket.CMSG_SPACE(8 * 4)
# One byte more than the longest message, so that a longer one shows.
RECEIVE_BYTES = wire.Frame.SIZE + 1
# Plain numbers: an operation on the enumerations they come from takes half a microsecond, each time.
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
_AT_ONCE = int(socket.MSG_DONTWAIT)
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
_BGR3 = int(wire.Fourcc.BGR3)
_OK = int(wire.Status.OK)
_VIEW_LEAKED = int(wire.ResultFlag.VIEW_LEAKED)
_DETECTION_BYTES = wire.DETECTION_BYTES
_FULL_IN_P3 = int(wire.FrameFlag.FULL_IN_P3)
_SERVER_STATE_MINOR = 1  # a daemon of a lower one never receives it
_FLAGS_AT = 2  # the low byte of the flags in a message's head


def _picked(*names: str) -> struct.Struct:
    """What reads just these fields of a FRAME, in the order of its layout, and of `planes` the first one."""
    layout = "<"
    for name, code, _ in wire.Frame.FIELDS:
        kept = code if name in names else ""
        if name == "planes":
            kept = code[: len(wire.Plane._fields)]
        skipped = struct.calcsize("<" + code) - struct.calcsize("<" + kept)
        layout += f"{kept}{skipped}x"
    return struct.Struct(layout)


_FRAME_FIELDS = _picked(
    *("lease_id", "ring_id", "slot", "frame_seq", "captured_ns", "dispatched_ns", "lease_ms"),
    *("width", "height", "fourcc", "payload_bytes"),
)
_HEAD = struct.Struct("<" + dict((name, code) for name, code, _ in wire.Credit.FIELDS)["head"])
_MODEL_BYTES = struct.calcsize("<" + dict((name, code) for name, code, _ in wire.Hello.FIELDS)["model"])


class Identity(NamedTuple):
    """How a worker introduces itself: its name, its model (`model@backend`), the leases it wants to hold at a time.

    `flags` are HelloFlag's: how the model runs, and whether it is a visitor.
    """

    name: str
    model: str
    credit: int = 1
    flags: int = 0


def model_at(model: str, backend: str) -> str:
    """`model@backend` as HELLO has room for it: a long model is cut, because the backend must be told in any case."""
    end = f"@{backend}"
    return model.encode()[: _MODEL_BYTES - len(end)].decode("utf-8", "ignore") + end


class Stop(Protocol):
    """Says when to end; a threading.Event does."""

    def is_set(self) -> bool:
        """Whether to end now."""


class Lease:
    """One borrowed frame. Enter it for the picture, leave it, then `answer` or `skip` exactly once.

    Attributes:
        batch: how many pictures the model took together with this one, told to the daemon.
    """

    __slots__ = (
        "_client",
        "_dispatched_ns",
        "_full",
        "_lease_ms",
        "_offset",
        "_ring",
        "_row_bytes",
        "_shape",
        "_slot",
        "batch",
        "begin_ns",
        "captured_ns",
        "end_ns",
        "frame_seq",
        "lease_id",
        "received_ns",
    )

    def __init__(self, client: RingClient, ring: Ring, fields: tuple[int, ...]) -> None:
        self.received_ns = monotonic_ns()
        self._client, self._ring = client, ring
        self.lease_id, _, self._slot, self.frame_seq, self.captured_ns, self._dispatched_ns, self._lease_ms = fields[:7]
        self._shape = (fields[8], fields[7], 3)
        self._offset, self._row_bytes = fields[11], fields[13]
        self.begin_ns = self.end_ns = 0
        self.batch = 1
        self._full: wire.Plane | None = None

    @property
    def stream(self) -> str:
        """The camera's id."""
        return self._ring.said.stream_name

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture, pixels."""
        return self._shape[1], self._shape[0]

    @property
    def limit_ns(self) -> int:
        """When an answer is of no use any more: the lease has ended, however long the picture waited before it."""
        return self._dispatched_ns + self._lease_ms * 1_000_000

    def __enter__(self) -> Frame:
        picture = self._ring.picture(self._slot, self._shape, self._offset, self._row_bytes)
        self.begin_ns = monotonic_ns()
        return picture

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_ns = monotonic_ns()

    def full(self) -> Frame | None:
        """Return the full picture, (height, width, 3) BGR uint8, for crops; None where the daemon sends none.

        It lives as long as the lease, like the picture that entering gives.
        """
        if self._full is None:
            return None
        offset, _, row_bytes, rows = self._full
        return self._ring.view(self._slot, (rows, row_bytes // 3, 3), offset, row_bytes)

    def answer(self, detections: Detections) -> None:
        """End the lease with `detections`, (n,) of DETECTION_DTYPE in pixels of the frame.

        Raises:
            BadDetections: they may not be sent; the lease is still held.
            ViewLeaked: a view of the frame is left (only when the client is strict); the lease has ended.
            DaemonGone: the connection is closed.
        """
        self._client.end(self, _OK, sendable(detections, self._client.most_detections))

    def skip(self, status: wire.Status) -> None:
        """End the lease without detections; raises as `answer` does."""
        self._client.end(self, status, b"")

    def leaked(self) -> bool:
        """Tell whether a view of the frame is left."""
        return self._ring.leaked(self._slot)


class RingClient:
    """One connection to the daemon, after WELCOME. `strict` makes a leaked view an error, for tests.

    Attributes:
        device: what may read rings where they lie; set it before the first lease is taken.
    """

    def __init__(self, connection: socket.socket, welcome: wire.Welcome, *, strict: bool = False) -> None:
        self.welcome = welcome
        self.most_detections = min(welcome.max_detections, welcome.max_result_bytes // wire.DETECTION_BYTES)
        self.strict = strict
        self.answered = self.leaks = self.held = 0
        self.device: Device | None = None
        self.rings: dict[int, Ring] = {}
        self._graveyard: list[Ring] = []
        self._socket = connection
        self._buffer = bytearray(RECEIVE_BYTES)
        self._server_state: wire.ServerState | None = None  # as it was told last
        self._result = _blank_result()  # filled anew for each answer: making one costs more than filling it

    def leases(self, stop: Stop) -> Iterator[Lease]:
        """Yield each lease until `stop` is set; then take no more, yield what was under way, and return.

        Raises:
            DaemonGone: the connection was closed.
            BadMessage: the daemon sent what the protocol does not allow.
        """
        for (lease,) in self.batches(stop, most=1):
            yield lease

    def batches(self, stop: Stop, most: int, window_ms: float = 0.0) -> Iterator[list[Lease]]:
        """Yield the leases that are there together, 1 to `most` of them; otherwise as `leases`.

        Args:
            most: no more than the credit are ever there.
            window_ms: how long the first one waits for others. Without it only those count that came while the batch
                before was inferred, and nothing waits.
        """
        while not stop.is_set():
            first = self._next()
            if first is not None:
                yield [first] if most == 1 else self._with_company(first, most, int(window_ms * 1e6))
        self._send(wire.Credit(credit=0).pack())
        # FRAMEs that crossed CREDIT 0 come within a moment. What is there is read, however late we look.
        while _readable(self._socket, int(TICK_S * 1e9)):
            if lease := self._next(_AT_ONCE):
                yield [lease]

    def last(self) -> Iterator[list[Lease]]:
        """Let the daemon send nothing more, so that no frame comes unseen, and yield what came until then."""
        self._socket.shutdown(socket.SHUT_RD)
        with suppress(DaemonGone):  # as the end of all that came looks
            while True:
                if lease := self._next(_AT_ONCE):
                    yield [lease]

    def _with_company(self, first: Lease, most: int, window_ns: int) -> list[Lease]:
        """The batch that begins with `first`."""
        held = [first]
        until_ns = first.received_ns + window_ns
        while len(held) < most:
            lease = self._next(_AT_ONCE)
            if lease is not None:
                held.append(lease)
            elif not _readable(self._socket, until_ns - monotonic_ns()):
                break
        return held

    def set_credit(self, credit: int) -> None:
        """Ask to hold `credit` leases at a time from now on; 0 pauses."""
        self._send(wire.Credit(credit=min(credit, self.welcome.credit)).pack())

    def tell_server_state(self, losses: int, local_frames: int) -> None:
        """Tell the daemon how the model server did since this worker started, if that is news that it understands."""
        state = wire.ServerState(losses=losses, local_frames=local_frames)
        if state != self._server_state and self.welcome.minor >= _SERVER_STATE_MINOR:
            self._send(state.pack())
            self._server_state = state

    def end(self, lease: Lease, status: int, detections: bytes) -> None:
        """Send the RESULT of `lease` with the bytes of its detections; see `Lease.answer`."""
        leaked = lease.leaked()
        head = self._result
        head.lease_id, head.status, head.detection_count = lease.lease_id, status, len(detections) // _DETECTION_BYTES
        head.received_ns = received_ns = lease.received_ns
        head.infer_begin_ns = lease.begin_ns or received_ns
        head.infer_end_ns = lease.end_ns or received_ns
        head.batch = lease.batch
        head.flags = _VIEW_LEAKED if leaked else 0
        self._send(head.pack() + detections)
        self.answered += 1
        self.held -= 1
        if leaked:
            self._count_leak(lease)

    def close(self) -> None:
        """Close the connection and unmap every ring that nobody looks at any more."""
        self._socket.close()
        self._graveyard += self.rings.values()
        self.rings.clear()
        self._bury()

    def _count_leak(self, lease: Lease) -> None:
        self.leaks += 1
        if self.strict:
            raise ViewLeaked(
                f"a view of frame {lease.frame_seq} of {lease.stream} outlived its lease", "copy what must be kept"
            )

    def _next(self, flags: int = 0) -> Lease | None:
        """Wait for one message; return its lease, or None when it was none or a tick passed."""
        kind, length, fds = receive(self._socket, self._buffer, flags)
        if kind == wire.Frame.TYPE and length == wire.Frame.SIZE and not fds:
            return self._lend()
        if length == 0:
            return None
        message = _decoded(self._buffer, length, fds)
        if isinstance(message, wire.RingAdd):
            self._add(message, fds)
        elif isinstance(message, wire.RingRetire) and not fds:
            self._retire(message)
        else:
            _close_all(fds)
            raise BadMessage(f"the daemon sent {type(message).__name__} with {len(fds)} descriptors", REMEDY)
        return None

    def _lend(self) -> Lease | None:
        fields = _FRAME_FIELDS.unpack_from(self._buffer)
        _, ring_id, slot, _, _, _, _, width, height, fourcc, payload, offset, size, row_bytes, rows = fields
        ring = self.rings.get(ring_id)
        if ring is None or slot >= ring.said.slot_count or not 0 < payload <= ring.said.slot_stride:
            raise BadMessage(f"the daemon lent slot {slot} of ring {ring_id} with {payload} bytes", REMEDY)
        lease = Lease(self, ring, fields)
        self.held += 1
        if fourcc != _BGR3:
            lease.skip(wire.Status.BAD_INPUT)
            return None
        if rows != height or row_bytes < 3 * width or size != rows * row_bytes or not 0 < offset + size <= payload:
            raise BadMessage(f"the daemon lent {width} x {height} pixels in {size} of {payload} bytes", REMEDY)
        if self._buffer[_FLAGS_AT] & _FULL_IN_P3:
            lease._full = _full_plane(self._buffer, payload)
        return lease

    def _add(self, said: wire.RingAdd, fds: list[int]) -> None:
        try:
            if len(fds) != 1:
                raise BadMessage(f"RING_ADD of {said.stream_name} came with {len(fds)} descriptors", REMEDY)
            ring = self.rings[said.ring_id] = Ring(fds[0], said, self.welcome.instance_id)
            if self.device is not None:
                ring.share(self.device)
        finally:
            _close_all(fds)
        self._bury()

    def _retire(self, said: wire.RingRetire) -> None:
        ring = self.rings.pop(said.ring_id, None)
        if ring is None:
            raise BadMessage(f"the daemon retired ring {said.ring_id}, which was never added", REMEDY)
        self._graveyard.append(ring)
        self._bury()

    def _bury(self) -> None:
        self._graveyard = [ring for ring in self._graveyard if not ring.unmap()]

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except (BrokenPipeError, ConnectionResetError, BlockingIOError) as error:
            raise DaemonGone(f"cannot send to the daemon, {error.strerror}") from error


@contextmanager
def connect(path: Path, identity: Identity, stop: Stop, *, strict: bool = False) -> Iterator[RingClient]:
    """Connect to the daemon's socket and introduce oneself; every view of a frame must be gone when the block ends.

    Raises:
        DaemonGone: nobody listens, the connection was closed, or `stop` was set before WELCOME.
        Refused: the daemon does not want this worker.
        ClockMismatch: its CLOCK_MONOTONIC is not ours.
        BadMessage: it answered something else.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        _dial(connection, path)
        client = RingClient(connection, _greet(connection, identity, stop), strict=strict)
        try:
            yield client
        finally:
            client.close()


def receive(connection: socket.socket, into: bytearray, flags: int = 0) -> tuple[int, int, list[int]]:
    """Wait for one packet; returns its type and length, both 0 when a tick passed, and the descriptors it came with.

    `flags` are those of recvmsg(2). A plain recv would lose descriptors, and cut long packets, without a sign.

    Raises:
        DaemonGone: the connection was closed.
        BadMessage: the packet was cut, or its length field is wrong.
    """
    try:
        length, extra, seen, _ = connection.recvmsg_into([into], ANCILLARY_BYTES, flags | _CLOSE_ON_EXEC)
    except BlockingIOError:
        return 0, 0, []
    except ConnectionResetError as error:
        raise DaemonGone("the daemon closed the connection") from error
    fds = _descriptors(extra) if extra else []
    if length == 0:
        _close_all(fds)
        raise DaemonGone("the daemon closed the connection")
    kind, _, said_length = _HEAD.unpack_from(into)
    if seen & _CUT or length < wire.HEAD_BYTES or said_length != length:
        _close_all(fds)
        raise BadMessage(f"a message of {length} bytes from the daemon was cut or has a wrong length", REMEDY)
    return kind, length, fds


def _readable(connection: socket.socket, within_ns: int) -> bool:
    """Tell whether a packet is there, or comes within a time."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(max(0, -(-within_ns // 1_000_000))))


def _full_plane(message: bytearray, payload_bytes: int) -> wire.Plane:
    """Where the full picture of a FRAME lies."""
    plane = wire.Frame.unpack(bytes(message[: wire.Frame.SIZE])).planes[wire.FULL_PICTURE_PLANE]
    ends = plane.offset + plane.bytes
    if plane.rows < 1 or plane.stride < 3 or plane.bytes != plane.rows * plane.stride or ends > payload_bytes:
        raise BadMessage(f"the daemon lent a full picture that ends at byte {ends} of {payload_bytes}", REMEDY)
    return plane


def _dial(connection: socket.socket, path: Path) -> None:
    for option, limit_s in ((socket.SO_RCVTIMEO, TICK_S), (socket.SO_SNDTIMEO, SEND_LIMIT_S)):
        # The kernel's own time-out: unlike settimeout it adds no system call to each message.
        limit = struct.pack("@ll", int(limit_s), int(limit_s % 1 * 1_000_000))
        connection.setsockopt(socket.SOL_SOCKET, option, limit)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError, ConnectionResetError) as error:
        raise DaemonGone(f"nobody listens on {path}, {error.strerror}", "start visavis-capture") from error
    except PermissionError as error:
        remedy = "join the group that owns the socket"
        raise Refused(wire.Refusal.PEER_NOT_ALLOWED, f"may not connect to {path}", remedy) from error


def _greet(connection: socket.socket, identity: Identity, stop: Stop) -> wire.Welcome:
    hello = wire.Hello(
        major=wire.MAJOR,
        minor=wire.MINOR,
        lane=0,
        credit=identity.credit,
        nonce=secrets.randbits(64),
        name=identity.name,
        model=identity.model,
        flags=identity.flags,
    )
    buffer = bytearray(RECEIVE_BYTES)
    length, asked_ns = 0, monotonic_ns()
    try:
        connection.send(hello.pack())
    except (BrokenPipeError, ConnectionResetError) as error:
        raise DaemonGone("the daemon closed the connection before HELLO") from error
    while length == 0:
        if stop.is_set():
            raise DaemonGone("told to stop before the daemon answered HELLO")
        _, length, fds = receive(connection, buffer)
    return _welcomed(_decoded(buffer, length, fds), fds, asked_ns)


def _welcomed(answer: wire.Message, fds: list[int], asked_ns: int) -> wire.Welcome:
    _close_all(fds)
    if isinstance(answer, wire.Refuse):
        raise Refused(answer.code, f"the daemon refused this worker, {answer.text}")
    if not isinstance(answer, wire.Welcome) or fds:
        raise BadMessage(f"the daemon answered HELLO with {type(answer).__name__}", REMEDY)
    if answer.major != wire.MAJOR:
        raise BadMessage(f"the daemon speaks version {answer.major} of the protocol, not {wire.MAJOR}", REMEDY)
    # Wherever a busy machine lets the answer wait, the daemon looked at its clock between our question and now.
    apart_ms = max(asked_ns - answer.now_ns, answer.now_ns - monotonic_ns()) / 1_000_000
    if apart_ms > wire.CLOCK_TOLERANCE_MS:
        remedy = "run both on one machine and in one time namespace"
        raise ClockMismatch(f"the daemon's clock is {apart_ms:.0f} ms away", remedy)
    return answer


def _blank_result() -> wire.Result:
    return wire.Result(
        lease_id=0, status=0, detection_count=0, received_ns=0, infer_begin_ns=0, infer_end_ns=0, model_tag=0, batch=1
    )


def _decoded(buffer: bytearray, length: int, fds: list[int]) -> wire.Message:
    try:
        return wire.decode(bytes(buffer[:length]))
    except wire.LayoutError as error:
        _close_all(fds)
        raise BadMessage(f"cannot read a message of the daemon, {error}") from error


def _descriptors(extra: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, raw in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += memoryview(raw[: len(raw) // 4 * 4]).cast("i").tolist()
    return fds


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A USB camera made of software: plugs itself into this machine and sends the files it is given, over and over.

The kernel's `vhci_hcd` is a USB host whose devices answer over a socket (USB/IP,
https://docs.kernel.org/usb/usbip_protocol.html). This program is such a device: a camera of the USB Video Class 1.1
with one size, as JPEG files or (.yuyv) raw, sent over a bulk endpoint. The real driver `uvcvideo` finds it and makes a
real /dev/video. It ends with the camera unplugged; SIGUSR1 makes it hang while plugged in, a second one lets it go on,
and with --until-reset a reset of the device.
SIGUSR2 lets it send the pictures behind --then, whatever their size. With --sends it sends at another rate than it
says. With --late its pictures begin so many seconds after it was started.

    usb_camera.py --size 640 480 --fps 15 PICTURE.jpg...
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import struct
import time
from collections import deque
from pathlib import Path

ATTACH = Path("/sys/devices/platform/vhci_hcd.0/attach")
HIGH_SPEED = 3
STALL = -32  # EPIPE: the device refuses a request
UNLINKED = -104  # ECONNRESET

SUBMIT, UNLINK, SUBMITTED, UNLINKED_REPLY = 1, 2, 3, 4
HEADER = struct.Struct(">IIIII28s")  # command, number, device, direction, endpoint, what differs
SUBMIT_TAIL = struct.Struct(">IiiiI8s")  # flags, length, start frame, packets, interval, setup
SETUP = struct.Struct("<BBHHH")  # type, request, value, index, length

SET_CONFIGURATION = 9  # comes when the device is plugged in and when it was reset
GET_CUR, GET_MIN, GET_MAX, GET_LEN, GET_INFO, GET_DEF = 0x81, 0x82, 0x83, 0x85, 0x86, 0x87
PAYLOAD_BYTES = 1 << 20
YUY2 = bytes.fromhex("5955593200001000800000aa00389b71")  # the GUID of raw YUYV
END_OF_HEADER, END_OF_FRAME = 0x80, 0x02


def block(kind: int, body: bytes) -> bytes:
    """A descriptor: its length, its kind, its body."""
    return bytes([len(body) + 2, kind]) + body


def text(words: str) -> bytes:
    return block(3, words.encode("utf-16-le"))


class Descriptors:
    """What the camera says of itself: https://www.usb.org/document-library/video-class-v11-document-set."""

    def __init__(self, width: int, height: int, interval_100ns: int, *, raw: bool) -> None:
        self.raw = raw
        self.device = block(1, struct.pack("<HBBBBHHHBBBB", 0x0200, 0xEF, 2, 1, 64, 0x1D6B, 0x0102, 0x0100, 1, 2, 3, 1))
        self.strings = [block(3, struct.pack("<H", 0x0409)), text("visavis"), text("Test Camera"), text("0001")]
        body = self.association() + self.control() + self.streaming(width, height, interval_100ns)
        self.configuration = block(2, struct.pack("<HBBBBB", len(body) + 9, 2, 1, 0, 0x80, 50)) + body

    @staticmethod
    def association() -> bytes:
        return block(11, bytes([0, 2, 14, 3, 0, 2]))

    @staticmethod
    def control() -> bytes:
        camera = block(0x24, struct.pack("<BBHBBHHHB3s", 2, 1, 0x0201, 0, 0, 0, 0, 0, 3, bytes(3)))
        output = block(0x24, struct.pack("<BBHBBB", 3, 2, 0x0101, 0, 1, 0))
        total = 13 + len(camera) + len(output)
        header = block(0x24, struct.pack("<BHHIBB", 1, 0x0110, total, 48_000_000, 1, 1))
        return block(4, bytes([0, 0, 0, 14, 1, 0, 2])) + header + camera + output

    def streaming(self, width: int, height: int, interval_100ns: int) -> bytes:
        mjpeg, yuyv = bytes([6, 1, 1, 1, 1, 0, 0, 0, 0]), bytes([4, 1, 1, *YUY2, 16, 1, 0, 0, 0, 0])
        formats = block(0x24, yuyv if self.raw else mjpeg)
        kind, bits, rates = 5 if self.raw else 7, (1 << 20, 1 << 27), (interval_100ns, 1, interval_100ns)
        most = 2 * width * height if self.raw else PAYLOAD_BYTES
        formats += block(0x24, struct.pack("<BBBHHIIIIBI", kind, 1, 0, width, height, *bits, most, *rates))
        formats += block(0x24, bytes([13, 1, 1, 4]))
        header = block(0x24, struct.pack("<BBHBBBBBBBB", 1, 1, 14 + len(formats), 0x81, 0, 2, 0, 0, 0, 1, 0))
        endpoint = block(5, struct.pack("<BBHB", 0x81, 2, 512, 0))
        return block(4, bytes([1, 0, 1, 14, 2, 0, 0])) + header + formats + endpoint

    def find(self, value: int) -> bytes | None:
        kind, index = value >> 8, value & 0xFF
        if kind == 3:
            return self.strings[index] if index < len(self.strings) else None
        return {1: self.device, 2: self.configuration}.get(kind)


class Camera:
    """Answers the kernel's requests; `pictures` are sent one after another, each in as many transfers as it needs."""

    def __init__(self, host: socket.socket, args: argparse.Namespace) -> None:
        self.host, self.pictures, self.period_s = host, read(args.pictures), 1 / (args.sends or args.fps)
        self.later = read(args.then)
        interval_100ns = round(1e7 / args.fps)
        width, height = args.size
        self.descriptors = Descriptors(width, height, interval_100ns, raw=args.pictures[0].suffix == ".yuyv")
        head, sizes = (1, 1, 1, interval_100ns, 0, 0, 0, 0, 0), (PAYLOAD_BYTES, PAYLOAD_BYTES, 48_000_000)
        self.stream_control = struct.pack("<HBBIHHHHHIIIBBBB", *head, *sizes, 0, 0, 0, 0)
        self.waiting: deque[tuple[int, int]] = deque()  # number and length of transfers that want picture data
        self.unsent = b""
        self.sent = 0
        self.hangs, self.until_reset = False, args.until_reset
        self.late_s, self.begins_s = args.late, 0.0
        self.due_s = time.monotonic()

    def hang(self, *_: object) -> None:
        self.hangs = not self.hangs

    def change(self, *_: object) -> None:
        self.pictures, self.later = self.later, self.pictures

    def serve(self) -> None:
        """Until the kernel hangs up."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.host, selectors.EVENT_READ)
            while True:
                if ready.select(max(0.0, self.due_s - time.monotonic())) and not self.answer():
                    return
                self.next_picture()

    def answer(self) -> bool:
        header = self.host.recv(HEADER.size, socket.MSG_WAITALL)
        if len(header) < HEADER.size:
            return False
        command, number, _device, to_host, endpoint, tail = HEADER.unpack(header)
        if command == UNLINK:
            self.unlink(number, struct.unpack_from(">I", tail)[0])
            return True
        _flags, length, _start, _packets, _interval, setup = SUBMIT_TAIL.unpack(tail)
        data = b"" if to_host or not length else self.host.recv(length, socket.MSG_WAITALL)
        if endpoint == 0:
            self.reply(number, *self.request(setup, data))
        else:
            self.waiting.append((number, length))
            self.fill()
        return True

    def request(self, setup: bytes, data: bytes) -> tuple[int, bytes, int]:
        """(status, data, bytes taken) of one control request."""
        kind, request, value, _index, length = SETUP.unpack(setup)
        if kind == 0x80 and request == 6:
            found = self.descriptors.find(value)
            return (0, found[:length], 0) if found else (STALL, b"", 0)
        if (kind, request) == (0, SET_CONFIGURATION) and self.until_reset:
            self.hangs = False
        if kind in (0x80, 0x81, 0x82):
            return 0, bytes(length), 0
        if kind in (0xA1, 0x21) and value >> 8 in (1, 2):
            return self.negotiate(request, length, data)
        return (0, b"", len(data)) if kind < 0x20 else (STALL, b"", 0)

    def negotiate(self, request: int, length: int, data: bytes) -> tuple[int, bytes, int]:
        """Probe and commit: there is one format and one size, so the answer is always the same."""
        answers = {GET_LEN: struct.pack("<H", len(self.stream_control)), GET_INFO: b"\x03"}
        if request in (GET_CUR, GET_MIN, GET_MAX, GET_DEF):
            return 0, self.stream_control[:length], 0
        self.unsent = b""  # a new stream begins with a whole picture
        self.begins_s = time.monotonic() + self.late_s
        return 0, answers.get(request, b"")[:length], len(data)

    def next_picture(self) -> None:
        now = time.monotonic()
        if now < self.due_s:
            return
        self.due_s = max(self.due_s + self.period_s, now)
        if self.unsent or not self.waiting or self.hangs or now < self.begins_s:
            return
        picture = self.pictures[self.sent % len(self.pictures)]
        self.unsent = bytes([2, END_OF_HEADER | END_OF_FRAME | self.sent & 1]) + picture
        if len(self.unsent) % 512 == 0:
            self.unsent += b"\0"  # only a short transfer ends a picture
        self.sent += 1
        self.fill()

    def fill(self) -> None:
        while self.unsent and self.waiting and not self.hangs:
            number, length = self.waiting.popleft()
            part, self.unsent = self.unsent[:length], self.unsent[length:]
            self.reply(number, 0, part, 0)

    def reply(self, number: int, status: int, data: bytes, taken: int) -> None:
        tail = struct.pack(">iiiii8s", status, len(data) or taken, 0, 0, 0, b"")
        self.host.sendall(HEADER.pack(SUBMITTED, number, 0, 0, 0, tail) + data)

    def unlink(self, number: int, unwanted: int) -> None:
        before = len(self.waiting)
        self.waiting = deque(w for w in self.waiting if w[0] != unwanted)
        status = UNLINKED if len(self.waiting) < before else 0
        self.host.sendall(HEADER.pack(UNLINKED_REPLY, number, 0, 0, 0, struct.pack(">i24s", status, b"")))


def read(files: list[Path]) -> list[bytes]:
    return [file.read_bytes() for file in files]


def plug_in(port: int) -> socket.socket:
    """Hands one end of a socket to the kernel and returns the other."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with kernels:
        ATTACH.write_text(f"{port} {kernels.fileno()} {port + 1} {HIGH_SPEED}")
    return ours


def main() -> None:
    """Parse, plug in, serve."""
    parser = argparse.ArgumentParser(description="a USB camera made of software (needs the module vhci_hcd)")
    parser.add_argument("--size", nargs=2, type=int, default=(640, 480), metavar=("W", "H"))
    parser.add_argument("--fps", type=float, default=15.0)
    parser.add_argument("--sends", type=float, metavar="FPS", help="pictures a second that really come")
    parser.add_argument("--then", nargs="+", type=Path, default=[], metavar="PICTURE")
    parser.add_argument("--until-reset", action="store_true", help="a reset ends the hanging")
    parser.add_argument("--late", type=float, default=0.0, metavar="S", help="seconds to the first picture of a stream")
    parser.add_argument("--port", type=int, default=0, help="of the virtual hub")
    parser.add_argument("pictures", nargs="+", type=Path)
    args = parser.parse_args()
    if not ATTACH.exists():
        raise SystemExit(f"usb_camera: {ATTACH} is missing: modprobe vhci_hcd (process {os.getpid()})")
    with plug_in(args.port) as host:
        camera = Camera(host, args)
        signal.signal(signal.SIGUSR1, camera.hang)
        signal.signal(signal.SIGUSR2, camera.change)
        camera.serve()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Runs a model on a server that speaks the Open Inference Protocol, and here while that server is lost.

The way of a frame: `detect_until` asks the server and waits for at most the deadline. At the first failure `_lose`
takes the server away; this frame and those after it are inferred here, and `_seek`, in a thread that waits for that all
its life, tries until the server answers pictures again: there may be no thread to be had just then. `name` says which
of the two infers; the worker tells the daemon when it changes.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np

from visavis.backends import NEVER_NS, Batching, Waiting
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.backoff import backoff
from visavis.detections import Detections, Frame
from visavis.errors import DetectorError
from visavis.families.family import Floats
from visavis.openinference.endpoint import Deadline, Endpoint, ServerLost, ServerUnfit, cleaned, endpoint
from visavis.openinference.tensors import Pictures, Server, check_fits
from visavis.settings import DetectorSettings
from visavis.threads import start
from visavis.updown import Teller

# The module of each wire is imported only when it is used: grpcio is optional.
WIRES = {"http": ("over_http", "Http"), "https": ("over_http", "Http"), "grpc": ("over_grpc", "Grpc")}
WIRES["grpcs"] = WIRES["grpc"]
NAME = "kserve"
# Long enough for a server that loads the model at the first request.
OPEN_MS = 5_000.0
SEEK_FIRST_MS = 250.0
SEEK_MOST_MS = 10_000.0
# A server that stayed this long was well: what came before is no part of the same trouble.
WELL_S = 60.0
# For a model that takes any size.
USUAL_SIDE = 64
# What code raises over an answer that it was not written for; a DetectorError is one of our own.
SURPRISES = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, DetectorError)

log = logging.getLogger(__name__)


@contextlib.contextmanager
def _surprises_are_losses() -> Iterator[None]:
    """What nobody expected of a server must end neither a frame, nor the worker, nor the thread that seeks."""
    try:
        yield
    except (ServerLost, ServerUnfit):
        raise
    except SURPRISES as error:
        words = cleaned(f"{type(error).__name__} {error}")
        raise ServerLost(f"the server's answer makes no sense, {words}") from error


class KServe(Waiting, Batching):
    """A detector on a model server, with one on this machine's CPU in reserve.

    Attributes:
        name: "kserve" while the server infers, "onnxruntime" while this machine does.
        precision: "" while the server infers, which does not say.
        remote_frames: how many pictures the server inferred.
        second_attempts: how many requests were sent again.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._local = OnnxRuntime(settings)
        self.name, self.model_id, self.input_size = NAME, self._local.model_id, self._local.input_size
        self.precision = ""
        self._calm = Teller()
        self.losses = self.remote_frames = self.local_frames = self.second_attempts = 0
        self._where = endpoint(settings.kserve_url, self.model_id, settings.kserve_ca, settings.kserve_token_file)
        self._score, self._iou, self.batch = settings.score, settings.iou, settings.batch
        self._deadline_ns = int(settings.kserve_deadline_ms * 1e6)
        # What a picture takes here, and how long frames have waited in vain since the server's last answer.
        self._local_ns = self._unanswered_ns = 0
        self._told_slow = False
        self._server: Server | None = None
        self._stop, self._lost = threading.Event(), threading.Event()
        self._seeker = threading.Thread(target=self._seek, name="seek-kserve", daemon=True)
        self._found_s = self._lost_s = time.monotonic()
        self._lost_frames = 0
        self._pause_ms = SEEK_FIRST_MS / 2
        self._connect = _wire(self._where)

    def warm_up(self) -> None:
        """Get the reserve ready, then open the server; one that does not answer is sought in the background.

        Raises:
            ServerUnfit: the server refuses us, or serves another model.
            ModelError: the model cannot run here.
            OSError: no thread is free to seek the server.
        """
        self._local.warm_up()
        began_ns = time.monotonic_ns()
        self._local.warm_up()
        self._local_ns = time.monotonic_ns() - began_ns
        if self._seeker.ident is None:
            self._open_first()

    def _open_first(self) -> None:
        """Only then is there something to seek: where it is refused no thread is left behind."""
        try:
            self._take(self._opened())
        except ServerLost as error:
            self._lose(str(error))
        with contextlib.ExitStack() as failed:
            if self._server is not None:
                failed.callback(self._server.close)
            start(self._seeker)
            failed.pop_all()

    def detect(self, frame: Frame) -> Detections:
        """Find faces; see `Detector.detect`."""
        return self.detect_until(frame, NEVER_NS)

    def detect_until(self, frame: Frame, limit_ns: int) -> Detections:
        """Find faces; see `Waiting.detect_until`. The server gets what leaves enough to infer here, if anything does.

        Raises:
            DetectorError: another size than `input_size`, or the model failed here too.
        """
        return self._infer([frame], limit_ns)[0]

    def detect_many(self, frames: Sequence[Frame], limit_ns: int = NEVER_NS) -> list[Detections]:
        """Find faces in pictures of one size with one request; otherwise as `detect_until`."""
        return self._infer(frames, limit_ns)

    def close(self) -> None:
        """Stop seeking, and give the connection back."""
        self._stop.set()
        self._lost.set()
        if self._seeker.ident is not None:
            self._seeker.join()
        if self._server is not None:
            self._server.close()

    def _infer(self, frames: Sequence[Frame], limit_ns: int) -> list[Detections]:
        server, now_ns = self._server, time.monotonic_ns()
        given_ns = self._given_ns(len(frames), limit_ns - now_ns)
        if server is not None and given_ns > 0 and all(map(self._has_our_size, frames)):
            deadline = Deadline(now_ns + given_ns)
            try:
                return self._there(server, frames, deadline)
            except (ServerLost, ServerUnfit) as error:
                # As text: the exception holds its traceback, and with it the pictures.
                reason = str(error)
            self._unanswered_ns += given_ns
            # One frame whose lease had nearly ended is no blame; as many in a row as make up a deadline are.
            if not deadline.passed or self._unanswered_ns >= self._deadline_ns:
                self._lose(reason)
        return self._here(frames)

    def _given_ns(self, frames: int, left_ns: int) -> int:
        """How long to wait for the server, of what is left of a lease; all of it where inferring here ends too late."""
        needed_ns = frames * self._local_ns
        if needed_ns < left_ns or left_ns <= 0:
            return min(self._deadline_ns, left_ns - needed_ns)
        if not self._told_slow:
            self._told_slow = True
            log.warning(
                "%s takes %.0f ms here, and %.0f ms are left of the lease: without the server frames are lost; "
                "raise worker.lease_ms, lower worker.credit or choose a smaller detector.input",
                "a picture" if frames == 1 else f"a batch of {frames}",
                needed_ns / 1e6,
                left_ns / 1e6,
            )
        return min(self._deadline_ns, left_ns)

    def _here(self, frames: Sequence[Frame]) -> list[Detections]:
        began_ns = time.monotonic_ns()
        found = [self._local.detect(frame) for frame in frames]
        # Half of what was known: a processor that was busy for a moment is forgotten soon.
        self._local_ns = (self._local_ns + (time.monotonic_ns() - began_ns) // len(frames)) // 2
        self.local_frames += len(frames)
        return found

    def _has_our_size(self, frame: Frame) -> bool:
        width, height = self.input_size
        return frame.shape == (height or frame.shape[0], width or frame.shape[1], 3)

    @_surprises_are_losses()
    def _there(self, server: Server, frames: Sequence[Frame], deadline: Deadline) -> list[Detections]:
        pictures = frames[0][None] if len(frames) == 1 else np.stack(frames)
        found = self._decoded(self._attempted(server, pictures, deadline), pictures)
        self.remote_frames += len(frames)
        self._unanswered_ns = 0
        return found

    def _attempted(self, server: Server, pictures: Pictures, deadline: Deadline) -> list[Floats]:
        """Ask at most twice, and never after the deadline: by then there is a newer frame."""
        try:
            return server.infer(pictures, deadline)
        except ServerLost as error:
            if not error.again or deadline.passed:
                raise
        self.second_attempts += 1
        return server.infer(pictures, deadline)

    def _decoded(self, outputs: list[Floats], pictures: Pictures) -> list[Detections]:
        height, width = pictures.shape[1:3]
        try:
            found = self._local.family.decode_batch(outputs, (width, height), self._score, self._iou)
        except DetectorError as error:
            raise ServerLost(f"the server's answer does not fit, {error}") from error
        if len(found) != len(pictures):
            raise ServerLost(f"the server answered {len(found)} of {len(pictures)} pictures")
        return found

    @_surprises_are_losses()
    def _opened(self) -> Server:
        """Connect, compare the server's model with ours, and see that it answers as fast as frames need it."""
        with contextlib.ExitStack() as failed:
            server = self._connect(self._where, self._local.outputs)
            failed.callback(server.close)
            opening = Deadline.after(OPEN_MS, self._stop)
            width, height = self.input_size
            said, wanted = server.metadata(opening), (self.batch, height, width, 3)
            check_fits(said, self._local.family, self._local.outputs, wanted, self._where)
            grey = np.full((self.batch, height or USUAL_SIDE, width or USUAL_SIDE, 3), 128, np.uint8)
            self._decoded(server.infer(grey[:1], opening), grey[:1])
            if self.batch > 1:
                self._take_together(server, grey, opening)
            self._decoded(server.infer(grey, Deadline.after(self._deadline_ns / 1e6)), grey)
            failed.pop_all()
        return server

    def _take_together(self, server: Server, grey: Pictures, opening: Deadline) -> None:
        """See that a server that takes one picture takes as many as there may be: what Triton says leaves that open."""
        try:
            self._decoded(server.infer(grey, opening), grey)
        except ServerUnfit as error:
            raise ServerUnfit(
                f"the server does not take {len(grey)} pictures at once, {error.sentence}",
                f"lower worker.credit, or serve what `visavis model export-triton --batch {len(grey)}` writes",
            ) from error

    def _take(self, server: Server) -> None:
        self._found_s, self._unanswered_ns = time.monotonic(), 0
        self._server, self.name, self.precision = server, NAME, ""

    def _lose(self, reason: str) -> None:
        if self._server is not None:
            self._server.close()
        self._server, self.name, self.precision = None, self._local.name, self._local.precision
        self.losses += 1
        self._lost_s, self._lost_frames = time.monotonic(), self.local_frames
        was_well = self._lost_s - self._found_s >= WELL_S
        self._pause_ms = SEEK_FIRST_MS if was_well else min(2 * self._pause_ms, SEEK_MOST_MS)
        if self._calm.lost(reason):
            log.warning(
                "%s is lost (loss %d): %s; %s infers here meanwhile", self._where, self.losses, reason, self.name
            )
        self._lost.set()

    def _seek(self) -> None:
        while not self._stop.is_set():
            self._lost.wait()
            self._lost.clear()
            self._find_again()

    def _find_again(self) -> None:
        lost_s, here = self._lost_s, self._lost_frames
        self._stop.wait(self._pause_ms / 1_000)
        for _ in backoff(first_ms=self._pause_ms, most_ms=SEEK_MOST_MS, stop=self._stop):
            try:
                server = self._opened()
            except (ServerLost, ServerUnfit) as error:
                if not self._stop.is_set() and self._calm.lost(str(error)):
                    log.warning("%s is still lost: %s", self._where, error)
                continue
            away_s, frames = time.monotonic() - lost_s, self.local_frames - here
            if self._calm.back():
                log.warning("%s answers again after %.1f s; %d frames were inferred here", self._where, away_s, frames)
            self._take(server)
            return


def _wire(where: Endpoint) -> Callable[[Endpoint, Sequence[str]], Server]:
    module, name = WIRES[where.scheme]
    try:
        found = getattr(importlib.import_module(f"visavis.openinference.{module}"), name)
    except ImportError as error:
        remedy = "apt install python3-grpcio (in a checkout pip install grpcio), or use https://"
        raise ServerUnfit(f"cannot speak {where.scheme}://, {error}", remedy) from error
    return cast(Callable[[Endpoint, Sequence[str]], Server], found)

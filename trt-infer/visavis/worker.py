# SPDX-License-Identifier: Apache-2.0
"""The inference worker: borrows frames from the ring and answers with detections.

The way of a frame, in the order of this file: connect, borrow, detect, answer.
`run` retries for ever; `run_once` is one straight session.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from time import monotonic
from typing import NamedTuple

from visavis.backends import Batching, Detector, Waiting, load_detector
from visavis.backends.any_size import AnySize
from visavis.backoff import backoff
from visavis.detections import Detections
from visavis.engines.note import EngineNote
from visavis.errors import DaemonGone, DetectorBroken, DetectorLost, EngineRefused, GpuUnusable, Refused, ViewLeaked
from visavis.heap import give_back
from visavis.ring import Identity, Lease, RingClient, connect, model_at
from visavis.ring_gen import HelloFlag, Refusal, Status
from visavis.ring_memory import Device
from visavis.settings import DetectorSettings, WorkerSettings
from visavis.signals import ended_anyway, stopped_after
from visavis.systemd import READY, STATUS, STOPPING, SignOfLife, tell
from visavis.updown import Teller

RETRY_FIRST_MS = 20
RETRY_MOST_MS = 1_000
# A daemon that starts anew, or that ends before this worker does, is away for less than that.
AWAY_S = 1.0
# How long a worker that loads may take to end: the build of an engine takes minutes and cannot always be told to stop.
LOAD_STOP_LIMIT_S = 2.0
# How long a worker serves without its GPU, where that did not take the engine, before a fresh process tries it again.
TRY_AGAIN_S = 60.0
# Frames that may fail one after the other before a fresh process is tried.
MOST_FAILURES = 3
# What the streams of clients' pictures begin with, and no camera.
CLIENTS = "@"

log = logging.getLogger(__name__)
Faults = defaultdict[str, Teller]  # by camera


def no_faults() -> Faults:
    """Nothing was told yet."""
    return defaultdict(Teller)


def run(settings: WorkerSettings, stop: threading.Event, warm: Callable[[], None] | None = None) -> None:
    """Serve until `stop` is set, also while the detector loads; wait and connect again whenever the daemon goes away.

    Args:
        warm: called once, when the detector has loaded and run.

    Raises:
        GpuUnusable: the GPU did not take its engine, and something else has served for TRY_AGAIN_S.
        VisavisError: what connecting again cannot mend: no such model, another release, a broken detector.
    """
    with ended_anyway(stop, LOAD_STOP_LIMIT_S, partial(stopped_early, settings.name)):
        missed: list[EngineRefused] = []
        detector = load_detector(settings.detector, missed.append)
        detector.warm_up()
    give_back()
    log.info("%s: %s on %s is warm", settings.name, detector.model_id, detector.name)
    warn_of_a_long_name(settings.name, detector)
    if warm is not None:
        warm()
    tell(READY, f"{STATUS}{detector.model_id} on {detector.name}")
    serving = Serving(settings, detector, AnySize(settings.detector), SignOfLife(), Absence(settings.name))
    with tried_again(settings.detector, missed, stop):
        while not stop.is_set():
            serve_a_daemon(serving, stop)
    tell(STOPPING)
    log.info("%s: stopped", settings.name)


def warn_of_a_long_name(name: str, detector: Detector) -> None:
    """Say what the daemon will call a model whose name it has no room for."""
    told, _, _ = model_at(detector.model_id, detector.name).rpartition("@")
    if told != detector.model_id:
        words = (
            "%s: the status and messages call model %s %s, for longer names they have no room: give it a shorter one"
        )
        log.warning(words, name, detector.model_id, told)


@contextmanager
def tried_again(settings: DetectorSettings, missed: Sequence[EngineRefused], stop: threading.Event) -> Iterator[None]:
    """Where the GPU was missed, tell why, and set `stop` after TRY_AGAIN_S: then a fresh process tries it again.

    Raises:
        GpuUnusable: that time has come.
    """
    if not missed:
        yield
        return
    if settings.engine_note is not None:
        EngineNote(settings.engine_note, settings.model, settings.precision).failed(str(missed[0]))
    with stopped_after(TRY_AGAIN_S, stop) as due:
        yield
    if due.is_set():
        raise GpuUnusable(missed[0].sentence, missed[0].remedy) from missed[0]


def stopped_early(name: str) -> int:
    """The end of a worker that was stopped while it loaded: what it made is kept whole or not at all."""
    log.info("%s: stopped before it was ready", name)
    tell(STOPPING)
    return 0


class Renamed:
    """Set when `stop` is, or when the detector goes by another name than at first: HELLO must be said again.

    It is asked after each batch and each moment without one, so this is where a worker that is not stuck shows it.
    """

    def __init__(self, detector: Detector, stop: threading.Event, life: SignOfLife) -> None:
        self._detector, self._stop, self._life = detector, stop, life
        self.name = detector.name

    def is_set(self) -> bool:
        """Whether to end the session."""
        self._life.give()
        return self._stop.is_set() or self._detector.name != self.name

    def begins(self, leases: list[Lease]) -> None:
        """Frames are about to be inferred, which may take as long as the daemon waits for them."""
        self._life.excuse(max(lease.limit_ns for lease in leases))


class Serving(NamedTuple):
    """What a worker serves with, one daemon after the other; `others` infers pictures of other sizes."""

    settings: WorkerSettings
    detector: Detector
    others: Detector
    life: SignOfLife
    absence: Absence


def serve_a_daemon(serving: Serving, stop: threading.Event) -> None:
    """Try until a session that answered frames has ended; the next daemon is looked for with short waits again."""
    settings, detector, answered = serving.settings, serving.detector, 0
    for _ in backoff(first_ms=RETRY_FIRST_MS, most_ms=RETRY_MOST_MS, stop=stop):
        serving.life.give()
        until = Renamed(detector, stop, serving.life)
        model = model_at(detector.model_id, until.name)
        identity = Identity(settings.name, model, settings.credit, hello_flags(settings, detector))
        try:
            with connect(settings.socket, identity, until) as ring:
                if serving.absence.ends():
                    log.info("%s: connected as worker %d", settings.name, ring.welcome.worker_id)
                if settings.register_ring and isinstance(detector, Device):
                    ring.device = detector
                try:
                    run_once(ring, detector, until, settings.batch_window_ms, serving.others)
                finally:
                    answered = ring.answered
        except (DaemonGone, Refused) as error:
            serving.absence.goes_on(_retryable(error))
        if answered:
            return


class Absence:
    """Tells of a daemon that does not come back at once; of one that comes and goes all the time only now and then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._since_s: float | None = None
        self._teller = Teller()

    def ends(self) -> bool:
        """The daemon is there; whether to say so."""
        self._since_s = None
        return self._teller.back()

    def goes_on(self, error: DaemonGone | Refused) -> None:
        """It has just gone, or is still away; `error` says how that showed."""
        if self._since_s is None:
            self._since_s = monotonic()
        reason = str(error)
        if monotonic() - self._since_s >= AWAY_S and self._teller.lost(reason):
            log.warning("%s: %s; trying again", self._name, reason)


def hello_flags(settings: WorkerSettings, detector: Detector) -> int:
    """What HELLO says beside names: the number format that runs, and whether it should have run on a GPU."""
    precision = HelloFlag[detector.precision.upper()] if detector.precision else 0
    return precision | (HelloFlag.FALLBACK if settings.fallback else 0)


def run_once(
    ring: RingClient,
    detector: Detector,
    stop: Renamed,
    batch_window_ms: float = 0.0,
    others: Detector | None = None,
) -> None:
    """Answer every lease of one connection; `others` infers pictures that are not of the detector's size.

    Raises:
        DaemonGone: the connection was closed; all views are already dropped.
        DetectorBroken: several frames in a row failed.
        DetectorLost: the device under the detector failed.
        ViewLeaked: a view of a frame outlived its lease (only when the client is strict).
    """
    failures, other_sizes = 0, OtherSizes(detector.input_size)
    faults = no_faults()
    tell_server_state(ring, detector)
    for leases in chain(ring.batches(stop, _most_together(detector), batch_window_ms), ring.last()):
        stop.begins(leases)
        for lease, found in zip(leases, infer_together(leases, detector), strict=True):
            if others is not None and lease.size != detector.input_size:
                other_sizes.tell(lease)
                answer(lease, others, faults)  # its failures say nothing about the detector
                continue
            failures = 0 if answer(lease, detector, faults, found) else failures + 1
            if failures == MOST_FAILURES:
                raise DetectorBroken(f"{detector.model_id} on {detector.name} failed on {failures} frames in a row")
        tell_server_state(ring, detector)


class OtherSizes:
    """Tells, once for each camera, that the daemon and this worker were started with different inputs: that is slow."""

    def __init__(self, own: tuple[int, int]) -> None:
        self._own = own
        self._told: set[str] = set()

    def tell(self, lease: Lease) -> None:
        """A client may send a picture of any size; a camera's should be of our own."""
        if lease.stream.startswith(CLIENTS) or lease.stream in self._told:
            return
        self._told.add(lease.stream)
        log.warning(
            "pictures of %s are %dx%d for the daemon and %dx%d for this worker (detector.input), so they are inferred "
            "slowly, in fp32: start the daemon and its workers again",
            lease.stream,
            *lease.size,
            *self._own,
        )


def tell_server_state(ring: RingClient, detector: Detector) -> None:
    """Let the daemon count how the server did, where the detector has one."""
    if isinstance(detector, Waiting):
        ring.tell_server_state(detector.losses, detector.local_frames)


def answer(lease: Lease, detector: Detector, faults: Faults, found: Detections | None = None) -> bool:
    """End a lease with what was found, or infer its frame first; False when that failed, which the daemon is told too.

    Args:
        faults: decides what is logged: a client may send a picture that cannot be inferred again and again.

    Raises:
        DetectorLost: no other frame can be inferred in this process.
    """
    try:
        lease.answer(infer(lease, detector) if found is None else found)
    except (DaemonGone, ViewLeaked):
        raise  # the lease has ended
    except Exception as error:  # noqa: BLE001 - the outermost loop: a picture that breaks the detector must not end the worker
        # As text: a log record that held the exception would hold its traceback, and with it the picture.
        reason = f"{type(error).__name__}: {error}"
        lost = isinstance(error, DetectorLost)
        tell_of(lease, reason, faults)
    else:
        return True
    # Only here are the views gone that the exception's traceback held.
    lease.skip(Status.FAILED)
    if lost:
        raise DetectorLost(f"{detector.model_id} on {detector.name} is lost, {reason}")
    return False


def tell_of(lease: Lease, reason: str, faults: Faults) -> None:
    """Say why a frame was not inferred: of each camera, and of all clients, each kind of error once an hour."""
    teller = faults[CLIENTS if lease.stream.startswith(CLIENTS) else lease.stream]
    if teller.lost(reason.partition(":")[0]):
        more = teller.taken()
        before = f" ({more} others since the last line)" if more else ""
        log.warning("frame %d of %s was not inferred, %s%s", lease.frame_seq, lease.stream, reason, before)


def infer_together(leases: list[Lease], detector: Detector) -> Sequence[Detections | None]:
    """Detect on all pictures of a batch at once.

    Returns:
        What was found in each; None where each is to be inferred alone: a single one, other sizes, or all of a
        batch that failed, so that one bad picture does not cost the others their answers.
    """
    own = all(lease.size == detector.input_size for lease in leases)
    if len(leases) == 1 or not own or not isinstance(detector, Batching):
        return [None] * len(leases)
    try:
        return _inferred_together(leases, detector)
    except Exception as error:  # noqa: BLE001 - whatever it is, it shows again on the picture that causes it
        # As text, for the same reason as above.
        log.warning("%d frames were not inferred together, %s", len(leases), f"{type(error).__name__}: {error}")
    return [None] * len(leases)


def _inferred_together(leases: list[Lease], detector: Batching) -> list[Detections]:
    limit_ns = min(lease.limit_ns for lease in leases)
    with ExitStack() as stack:
        found = detector.detect_many([stack.enter_context(lease) for lease in leases], limit_ns)
    for lease in leases:
        lease.batch = len(leases)
    return found


def _most_together(detector: Detector) -> int:
    return detector.batch if isinstance(detector, Batching) else 1


def infer(lease: Lease, detector: Detector) -> Detections:
    """Detect on the borrowed picture; no view of it is left when this returns."""
    with lease as frame:
        if isinstance(detector, Waiting):
            return detector.detect_until(frame, lease.limit_ns)
        return detector.detect(frame)


def _retryable(error: DaemonGone | Refused) -> DaemonGone | Refused:
    # A place becomes free when a dead worker is noticed; every other refusal stays.
    if isinstance(error, Refused) and error.code != Refusal.TOO_MANY_WORKERS:
        raise error
    return error

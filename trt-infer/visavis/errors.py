# SPDX-License-Identifier: Apache-2.0
"""Every error that visavis raises on purpose, as one tree.

Each has a `kind` (one word for logs and tests), a sentence that says what was being done, on what and why it failed,
and where there is one, the remedy:

    VisavisError
    ├── RingError             the hand-off between daemon and worker
    │   ├── DaemonGone        the daemon is not there, or went away: connect again
    │   ├── Refused           the daemon does not want this worker
    │   ├── BadMessage        the daemon sent what the protocol does not allow
    │   │   └── BadRing       the memory is not what the daemon said it is
    │   ├── ClockMismatch     daemon and worker do not share CLOCK_MONOTONIC
    │   └── ViewLeaked        a view of a frame outlived its lease: a bug in the detector
    ├── Starved               the system gives no memory, thread or descriptor
    ├── ResetError            a flashed device cannot be made as new
    ├── PictureError          a picture or video cannot be read or written
    ├── UpdateError           a system cannot be updated, or an update not be made
    └── DetectorError         one frame could not be inferred
        ├── BadDetections     the detector's answer breaks the contract
        ├── DetectorBroken    it failed on several frames in a row
        ├── DetectorLost      the device under it failed: the worker ends at once
        └── ModelError        a model or backend cannot be used at all
            ├── EngineRefused the GPU or TensorRT does not take an engine that is there
            ├── GpuUnusable   a worker should use the GPU and cannot
            └── Stopped       who made something of a model was told to stop
"""

from __future__ import annotations

from typing import ClassVar

from visavis import ENDED_BY_CTRL_C

# The remedy where a part of visavis itself is missing.
INSTALL_AGAIN = "install visavis again, or run `make setup` in a checkout"


class VisavisError(Exception):
    """What was being done, on what, and why it failed; then what to do about it.

    Args:
        sentence: what, on what, why.
        remedy: what a person can do; empty when there is nothing.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence}: {remedy}" if remedy else sentence)
        self.sentence = sentence
        self.remedy = remedy


class RingError(VisavisError):
    """The hand-off between daemon and worker failed."""

    kind = "ring"


class DaemonGone(RingError):
    """The daemon is not there, or closed the connection; every lease is lost, connect again."""

    kind = "daemon_gone"


class Refused(RingError):
    """The daemon does not want this worker; `code` is REFUSE's."""

    kind = "refused"

    def __init__(self, code: int, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence, remedy)
        self.code = code


class BadMessage(RingError):
    """The daemon sent what the protocol does not allow; the connection is of no use any more."""

    kind = "bad_message"


class BadRing(BadMessage):
    """The memory behind a RING_ADD is not what the daemon said it is."""

    kind = "bad_ring"


class ClockMismatch(RingError):
    """Daemon and worker do not share CLOCK_MONOTONIC: another time namespace or another machine."""

    kind = "clock"


class ViewLeaked(RingError):
    """A view of a frame outlived its lease: the daemon writes the next frame under it."""

    kind = "view_leaked"


class Starved(VisavisError):
    """The system gives no memory, thread, descriptor or file that was asked for; later it may."""

    kind = "system"


class ResetError(VisavisError):
    """A flashed device cannot be made as new; nothing was changed."""

    kind = "reset"


class PictureError(VisavisError):
    """A picture or video cannot be read or written."""

    kind = "picture"


class UpdateError(VisavisError):
    """A system cannot be updated, or an update cannot be made; what runs is as it was."""

    kind = "update"


class DetectorError(VisavisError):
    """One frame could not be inferred."""

    kind = "detector"


class BadDetections(DetectorError):
    """The detector's answer breaks the contract: wrong type or shape, or a number that is not finite."""

    kind = "bad_detections"


class DetectorBroken(DetectorError):
    """The detector failed on several frames in a row; a fresh process is the remedy."""

    kind = "detector_broken"


class DetectorLost(DetectorError):
    """The device under the detector failed, and all that this process holds there; a fresh one is the remedy."""

    kind = "detector_lost"
    exit_code = 3


class ModelError(DetectorError):
    """A model or a backend cannot be used at all: missing, damaged, or not installed."""

    kind = "model"


class EngineRefused(ModelError):
    """An engine is there, sound and for this GPU, but the GPU has no memory for it, or TensorRT does not load it."""

    kind = "engine_refused"


class GpuUnusable(ModelError):
    """A worker was to run on the GPU, and nothing there can serve: no driver, no library, no engine that it takes."""

    kind = "gpu_unusable"
    exit_code = 4


class Stopped(ModelError):
    """Who made something of a model, such as an engine, was told to stop; it exits as what Ctrl-C ends does."""

    kind = "stopped"
    exit_code = ENDED_BY_CTRL_C

# SPDX-License-Identifier: Apache-2.0
"""What a worker remembers of failures on its GPU, so that after three in a row its next start does without.

It remembers by itself, in a file beside the engine's note: whoever starts workers, systemd or `visavis run`, need not
know. A library of CUDA may take the process down, and a watchdog one that hangs in it; then Python's fault handler
leaves the words that tell so.
"""

from __future__ import annotations

import faulthandler
import fcntl
import importlib.util
import logging
import time
from itertools import count
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote
from zlib import crc32

import msgspec

from visavis.atomic import lock_file, write_atomically

MOST_LOST = 3
# A worker that served this long was well: what came before is no part of the same trouble.
WELL_S = 600.0
# After this time on the CPU the GPU is tried again, and if that fails, after twice as long, until it is a day.
FORGOTTEN_S, FORGOTTEN_MOST_S = 3_600.0, 86_400.0
# The share of that time over which the workers of a device spread their tries.
TURNS = 0.2

log = logging.getLogger(__name__)


def may_use_gpu(backend: str) -> bool:
    """Whether a worker with this backend comes near a GPU on this machine."""
    return backend == "tensorrt" or (backend == "auto" and importlib.util.find_spec("tensorrt") is not None)


class Record(msgspec.Struct, frozen=True):
    """How many starts in a row lost the GPU, when the last of them did, and when the newest one was ready, UNIX time.

    `ready_s` is 0 until it is. After `pause_s` the GPU is tried again; 0 before it was given up once.
    """

    count: int = 0
    lost_s: float = 0.0
    ready_s: float = 0.0
    pause_s: float = 0.0

    @property
    def rest_s(self) -> float:
        """How long it is until then; a clock that was set back says nothing."""
        passed_s = time.time() - self.lost_s
        return max(self.pause_s - passed_s, 0.0) if passed_s >= 0 else 0.0


class GpuLosses:
    """The memory of one worker. Of several that run with one name, each has its own, as long as its process lives.

    Args:
        folder: of the notes; where it cannot be written, nothing is remembered, and the log says so.
        name: the worker's.
    """

    def __init__(self, folder: Path, name: str) -> None:
        stem, self._place = _first_free(folder, quote(name, safe=""))
        self._file, self._words = folder / f"{stem}.gpu.json", folder / f"{stem}.crash"

    def begin(self) -> int:
        """Remember this start; how many before it lost the GPU in a row, one less where it is to try again."""
        record = self._read()
        crashed_s = self._crashed_s()
        if crashed_s:
            record = self._one_more(record, crashed_s)
        if _was_well(record, time.time()):  # whatever ended it, it was not the GPU
            record = Record()
        tries_again = record.count >= MOST_LOST and not record.rest_s
        if tries_again:  # lost until it is ready: what a kill ends, as for lack of memory, leaves no words
            record = Record(record.count, time.time(), pause_s=min(2 * record.pause_s, FORGOTTEN_MOST_S) or FORGOTTEN_S)
        elif record.count < MOST_LOST and not 0 <= time.time() - record.lost_s <= FORGOTTEN_S:
            record = Record()
        self._write(Record(record.count, record.lost_s, pause_s=record.pause_s))
        _remove(self._words)
        return MOST_LOST - 1 if tries_again else record.count

    def rest_s(self) -> float:
        """For how long this worker is to do without the GPU yet; of several each has its turn: some always serve."""
        record = self._read()
        return record.rest_s + record.pause_s * TURNS * (crc32(self._file.name.encode()) % 100) / 100

    def watch(self) -> None:
        """Leave words when a library takes this process down, from now until its end."""
        try:
            # Not closed: the fault handler writes into it when nothing else works any more.
            faulthandler.enable(self._words.open("wb"), all_threads=False)
        except OSError as error:
            log.warning("a crash of this worker will not be remembered, %s", error)

    def ready(self) -> None:
        """Remember that this start serves from now on; a start may take long, if an engine is built in it."""
        record = self._read()
        self._write(Record(record.count, record.lost_s, time.time(), record.pause_s))

    def lost(self) -> None:
        """Remember that this start lost the GPU."""
        self._write(self._one_more(self._read(), time.time()))

    def clear(self) -> None:
        """Forget everything: this worker ended for another reason."""
        _remove(self._file)
        _remove(self._words)

    def _one_more(self, record: Record, lost_s: float) -> Record:
        if _was_well(record, lost_s):
            return Record(1, lost_s)
        if record.count >= MOST_LOST:  # it was counted when it began
            return Record(record.count, lost_s, pause_s=record.pause_s)
        return Record(record.count + 1, lost_s, pause_s=FORGOTTEN_S if record.count + 1 == MOST_LOST else 0.0)

    def _crashed_s(self) -> float:
        """When the process before this one was taken down by a library; 0 when it was not."""
        try:
            about = self._words.stat()
        except OSError:
            return 0.0
        return about.st_mtime if about.st_size else 0.0

    def _read(self) -> Record:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Record)
        except FileNotFoundError:
            return Record()
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("what is remembered of failures on the GPU cannot be read and counts as none, %s", error)
            return Record()

    def _write(self, record: Record) -> None:
        try:
            self._file.parent.mkdir(exist_ok=True)
            write_atomically(self._file, msgspec.json.encode(record))
        except OSError as error:
            log.warning("failures on the GPU are not remembered, %s", error)


def _was_well(record: Record, at_s: float) -> bool:
    return record.ready_s > 0 and at_s - record.ready_s >= WELL_S


def _first_free(folder: Path, name: str) -> tuple[str, BinaryIO | None]:
    """How the files of a worker begin, and what keeps others with its name from them until it is closed.

    A worker that comes back takes the first place that is free, which is its own if the others live. No name has a
    plus: quote() writes it otherwise.
    """
    for number in count(1):
        stem = name if number == 1 else f"{name}+{number}"
        try:
            folder.mkdir(exist_ok=True)
            place = lock_file(folder / f"{stem}.lock")
        except OSError:  # then nothing can be remembered, which is told when it is tried
            return name, None
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            place.close()
        else:
            return stem, place
    raise AssertionError  # count has no end


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("failures on the GPU are not forgotten, %s", error)

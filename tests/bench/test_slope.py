# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.bench.flat import FRAMES, MOST_MB, bar, rise
from tests.bench.process_figures import anonymous_mb
from tests.bench.slope import Look, slope

LOOKS = 200
BREATH_MB = 0.3  # of Go's heap, up and down
# Its lines tell how many bytes it is to keep for ever.
KEEPER = """
import sys
kept = []
for line in sys.stdin:
    kept.append(b"x" * int(line))
    print(len(kept), flush=True)
"""
A_LOOK_FRAMES = FRAMES // LOOKS


def looks(bytes_a_frame: float = 0, steps: Sequence[float] = ()) -> list[Look]:
    """A process that breathes, grows with each frame, and by 3 MB at each share of the run."""
    chance = random.Random(1)

    def mb(share: float) -> float:
        grown = bytes_a_frame * share * FRAMES / 1e6 + 3.0 * sum(share >= step for step in steps)
        return 97.5 + grown + BREATH_MB * chance.random()

    return [(FRAMES * n / LOOKS, mb(n / LOOKS)) for n in range(LOOKS + 1)]


def test_a_leak_of_twenty_bytes_a_frame_is_found() -> None:
    leaking = looks(bytes_a_frame=20)
    assert bar("a process", leaking).value == pytest.approx(2.0, abs=0.1)
    assert not bar("a process", leaking).holds


@pytest.mark.parametrize("share", [0.05, 0.29, 0.5, 0.6, 0.95])
def test_one_step_is_no_leak_whenever_it_comes_but_shows_in_the_whole_rise(share: float) -> None:
    stepped = looks(steps=[share])
    assert bar("a process", stepped).holds
    assert float(rise(stepped).split()[0]) == pytest.approx(3.0, abs=BREATH_MB)


def test_a_step_does_not_hide_a_leak() -> None:
    assert not bar("a process", looks(bytes_a_frame=20, steps=[0.5])).holds


def test_steps_that_come_again_are_growth() -> None:
    assert not bar("a process", looks(steps=[0.25, 0.5, 0.75])).holds


def test_looks_at_uneven_times_and_twice_at_the_same_frame_have_the_slope_of_their_line() -> None:
    assert slope([(0, 1), (10, 2), (10, 2), (40, 5), (100, 11)]) == pytest.approx(0.1)


@pytest.mark.parametrize(("kept_bytes", "holds"), [(0, True), (50_000, False)])
def test_a_real_process_that_keeps_something_grows(kept_bytes: int, holds: bool) -> None:
    command = [sys.executable, "-c", KEEPER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        assert process.stdout
        found: list[Look] = []
        for number in range(LOOKS):
            process.stdin.write(f"{kept_bytes}\n")
            process.stdout.readline()
            found.append((number * A_LOOK_FRAMES, anonymous_mb(process.pid)))
        process.stdin.close()
    assert bar("a process", found).holds == holds, (MOST_MB, rise(found))

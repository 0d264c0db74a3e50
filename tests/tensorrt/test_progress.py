# SPDX-License-Identifier: Apache-2.0
"""The fraction that a person sees while an engine is built."""

from __future__ import annotations

from visavis.engines.progress import ALMOST, LayerCount, Phases


class Told:
    """Remembers fractions and phases; never stops a build."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.phase = ""

    def __call__(self, fraction: float, phase: str) -> bool:
        self.fractions.append(fraction)
        self.phase = phase
        return True


def test_a_phase_counts_as_one_step_of_the_phase_around_it() -> None:
    told = Told()
    phases = Phases(told)
    phases.start("all", None, 2)
    phases.start("first half", "all", 4)
    assert phases.step("first half", 0)
    phases.step("first half", 3)
    phases.finish("first half")
    phases.step("all", 0)
    phases.start("second half", "all", 2)
    phases.step("second half", 0)
    assert told.fractions == [0, 0, 0.125, 0.5, 0.5, 0.5, 0.75]
    assert told.phase == "second half"


def test_the_fraction_does_not_fall_when_another_phase_begins() -> None:
    told = Told()
    phases = Phases(told)
    phases.start("all", None, 1)
    phases.step("all", 0)
    phases.start("surprise", None, 10)
    assert told.fractions[-1] == 1.0


def test_a_build_that_was_told_to_stop_is_not_asked_to_go_on() -> None:
    answers = iter([True, False, True, True])
    phases = Phases(lambda _fraction, _phase: next(answers))
    phases.start("all", None, 3)
    assert not phases.step("all", 0)
    assert not phases.step("all", 1)


def test_an_older_tensorrt_counts_layers_in_its_log() -> None:
    told = Told()
    count = LayerCount(told)
    count.expect(2)
    count.line("=============== Computing costs for conv1")
    count.line("Formats and tactics selection completed")
    count.line("=============== Computing costs for conv2")
    assert told.fractions == [0.5, ALMOST]

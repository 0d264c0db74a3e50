# SPDX-License-Identifier: Apache-2.0
"""How far a build is: from TensorRT's own monitor since version 10, from its log before."""

from __future__ import annotations

import threading
from collections.abc import Callable

from visavis.engines.api import TensorRT, major

# Told a fraction from 0 to 1, never less than before, and what is done now; answers False to stop the build.
Report = Callable[[float, str], bool]
# What is reported while another process builds: that one tells how far it is.
ELSEWHERE = "Waiting for another build"
# What the log says once for each layer, in every version.
LAYER_LINE = "Computing costs for"
# A log cannot tell when the last step begins.
ALMOST = 0.99


class Phases:
    """TensorRT's nested phases as one fraction: a phase counts as one step of the phase around it.

    TensorRT calls from several threads at the same time; `report` is called by one of them at a time.

    Args:
        report: told about every change.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._open: dict[str, tuple[str | None, int, int]] = {}  # name -> parent, steps, steps done
        self._shown = 0.0
        self._go_on = True

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of `steps` steps began inside `parent`."""
        with self._lock:
            self._open[name] = (parent, max(steps, 1), 0)
            self._tell(name)

    def step(self, name: str, step: int) -> bool:
        """Step number `step` of a phase is done; False stops the build."""
        with self._lock:
            if name in self._open:
                parent, steps, _ = self._open[name]
                self._open[name] = (parent, steps, min(step + 1, steps))
            return self._tell(name)

    def finish(self, name: str) -> None:
        """A phase ended."""
        with self._lock:
            self._open.pop(name, None)

    def _tell(self, name: str) -> bool:
        self._shown = max(self._shown, min(self._fraction(None), 1.0))
        self._go_on = self._report(self._shown, name) and self._go_on
        return self._go_on

    def _fraction(self, parent: str | None) -> float:
        inner = [(name, steps, done) for name, (above, steps, done) in self._open.items() if above == parent]
        return max((min(done + self._fraction(name), steps) / steps for name, steps, done in inner), default=0.0)


class LayerCount:
    """The fraction of layers that the log has named: all that TensorRT 8 tells. It stops no build."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._layers, self._seen = 1, 0

    def expect(self, layers: int) -> None:
        """The network has this many layers; fusing makes them fewer, so the end comes early."""
        self._layers = max(layers, 1)

    def line(self, text: str) -> None:
        """Read one line of TensorRT's log."""
        if LAYER_LINE in text:
            self._seen += 1
            self._report(min(self._seen / self._layers, ALMOST), "Timing layers")


def monitor(trt: TensorRT, phases: Phases) -> object | None:
    """An IProgressMonitor that feeds `phases`, or None before TensorRT 10."""
    if major(trt) < 10:
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return phases.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()

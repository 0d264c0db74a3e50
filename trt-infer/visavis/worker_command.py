# SPDX-License-Identifier: Apache-2.0
"""The command line of a worker for a configuration: the other half of what cli/worker.py turns into settings."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from visavis.models.auto import AUTO, recommended_threads
from visavis.scores import unsure_score
from visavis.settings import default_cache_dir

if TYPE_CHECKING:
    from visavis.config_gen import Config, Detector

# More help no model here, and each costs memory and a task of the service; whoever has measured otherwise may set more.
USUAL_THREADS_MOST = 16


def worker_command(config: Config, workers: int = 0) -> list[str]:
    """The command line of a worker for this configuration.

    Args:
        config: the effective configuration.
        workers: how many share the cores; 0 for the configured number.
    """
    detector = config.detector
    width, height = detector.input
    threads = detector.threads or usual_threads(workers or detector.workers, measured_threads(detector))
    options = {
        "--socket": config.worker.socket,
        "--credit": str(config.worker.credit),
        "--batch-window-ms": str(config.worker.batch_window_ms),
        "--backend": detector.backend,
        "--precision": detector.precision,
        "--model": detector.model,
        "--input": f"{width}x{height}",
        "--threads": str(threads),
        "--score": str(unsure_score(detector.score)),
        "--iou": str(detector.iou),
        "--kserve-url": detector.kserve_url,
        "--kserve-ca": detector.kserve_ca,
        "--kserve-token-file": detector.kserve_token_file,
        "--kserve-deadline-ms": str(detector.kserve_deadline_ms),
    }
    words = [word for pair in options.items() for word in pair]
    if config.worker.register_ring:
        words.append("--register-ring")
    return [sys.executable, "-m", "visavis.cli", "worker", *words]


def measured_threads(detector: Detector) -> int | None:
    """How many threads the model was recommended with; None where it was not, or not as it runs here."""
    if detector.model != AUTO:
        return None
    return recommended_threads(default_cache_dir(), detector.input, detector.precision)


def usual_threads(workers: int, most: int | None = None) -> int:
    """A worker's share of the cores that we may use, but no more than `most`."""
    share = max(1, len(os.sched_getaffinity(0)) // workers)
    return min(share, most or USUAL_THREADS_MOST)

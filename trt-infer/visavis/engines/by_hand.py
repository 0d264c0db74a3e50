# SPDX-License-Identifier: Apache-2.0
"""The command by which a person builds just the engine that is missing, as the user and in the cache that miss it."""

from __future__ import annotations

import os
import shlex

from visavis.settings import SYSTEM_CACHE, DetectorSettings, default_cache_dir

# Where a service of the package has its credentials; those of the builder are gone when it has ended.
WORKERS_CREDENTIALS = "/run/credentials/visavis-infer@1.service"


def by_hand(settings: DetectorSettings) -> str:
    """What to type, but for what int8 is calibrated with."""
    size = f"{settings.input_width}x{settings.input_height}"
    words = ["--precision", settings.precision, "--input", size, "--batch", str(settings.batch)]
    if settings.cache_dir != default_cache_dir():
        words += ["--cache-dir", str(settings.cache_dir)]
    return shlex.join([*_as_the_service(), "visavis", "engine", "build", settings.model, *words])


def _as_the_service() -> list[str]:
    """What a service of the package has and a shell has not; nothing in any other process."""
    if "INVOCATION_ID" not in os.environ or default_cache_dir() != SYSTEM_CACHE:
        return []
    words = ["sudo", "-u", os.environ.get("USER", "visavis-infer"), "env", f"VISAVIS_CACHE_DIR={SYSTEM_CACHE}"]
    return words + [f"CREDENTIALS_DIRECTORY={WORKERS_CREDENTIALS}"] * ("CREDENTIALS_DIRECTORY" in os.environ)

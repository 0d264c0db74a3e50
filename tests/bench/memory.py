# SPDX-License-Identifier: Apache-2.0
"""Anonymous memory of daemon and worker after twenty seconds of work: CenterFace, the demo at 30 fps, one viewer."""

from __future__ import annotations

from tests.bench.box import Box
from tests.bench.child import Child
from tests.bench.page import Bar, Section
from tests.bench.process_figures import anonymous_mb
from tests.bench.viewers import watch

SECONDS, DAEMON_MB, WORKER_MB = 20.0, 60.0, 120.0


def measure() -> Section:
    """Two bars."""
    with Box() as box, Child(watch, box.http_port, box.cameras[0], 1, SECONDS) as viewer:
        viewer.answer(60 + SECONDS)
        daemon, worker = anonymous_mb(box.daemon.pid), anonymous_mb(box.workers()[0])
    bars = [
        Bar("anonymous memory of the daemon", daemon, DAEMON_MB, "MB"),
        Bar("anonymous memory of a worker (CenterFace)", worker, WORKER_MB, "MB"),
    ]
    return Section("Memory", [], bars)

# SPDX-License-Identifier: Apache-2.0
"""`make bench-gateway`: the gateway beside what people write today, in one run; writes docs/reference/gateway.md.

Exit 1 when a bar is missed; its name is among the last things printed. `--quick` is for development: short, noisy, and
it writes nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.bench.clip import make_clip
from tests.bench.gateway import frames, live, measure, side_by_side, workers
from tests.bench.gateway.figures import FULL, QUICK, Plan
from tests.bench.gateway.page import Found, page, pictures
from tests.bench.gateway.servers import FLOOR, ROOT, VISAVIS
from tests.bench.page import Section
from tests.bench.run import verdict
from tests.gocv_module import gocv_images

PAGE = ROOT / "docs" / "reference" / "gateway.md"
PICTURES = ROOT / "docs" / "pictures"
T = TypeVar("T")
DEADLINE_MS, PATIENCE = 250.0, 3.0  # gateway.deadline_ms, and the workers' times for a picture that it is at least


def main(options: list[str]) -> int:
    """Measure everything, write the page, and say which bars are missed."""
    quick = options == ["--quick"]
    found = measured(QUICK if quick else FULL)
    text, drawn = page(found), pictures(found)
    print(text)
    if not quick:
        PAGE.write_text(text)
        for name, picture in drawn.items():
            (PICTURES / name).write_text(picture)
    return verdict([Section("", [], found.bars)])


def measured(plan: Plan) -> Found:
    """All parts, one after the other."""
    begin_s = time.monotonic()
    picture = gocv_images() / "face.jpg"
    turns = told("what takes turns", lambda: side_by_side.measured(plan, picture))
    servers = measure.measured(plan, picture, turns)
    with tempfile.TemporaryDirectory(prefix="clip-") as folder:
        viewers = told("viewers", lambda: live.measured(plan, make_clip(Path(folder))))
    latencies = told("frames", lambda: frames.measured(plan.frames))
    by_workers = told("workers", lambda: workers.measured(plan, picture))
    deadline_ms = max(DEADLINE_MS, PATIENCE * servers[VISAVIS.name].service_ms)
    return Found(servers, turns[FLOOR], viewers, latencies, by_workers, deadline_ms, time.monotonic() - begin_s)


def told(name: str, measure_it: Callable[[], T]) -> T:
    """Run one part and say how long it took."""
    begin_s = time.monotonic()
    found = measure_it()
    print(f"bench-gateway: {name} took {time.monotonic() - begin_s:.0f} s", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

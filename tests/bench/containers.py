# SPDX-License-Identifier: Apache-2.0
"""What images weigh and how long containers take to start, beside those of Flask, FastAPI and Celery.

It writes docs/reference/containers.md.
`python -m tests.bench.containers`, as root: Debian's own Docker, in a container of systemd-nspawn, runs them.
Exit 1 when a bar is missed.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from containers.build import BASES, TARGETS, archive, base, build, buildah, fetching, missing_programs, save
from tests.bench.page import Bar, table
from tests.vm.docker_lab import with_docker
from tests.vm.inside import INSIDE
from tests.vm.lab import CONTAINERS, Machine

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "containers.md"
RIVALS = ROOT / "tests" / "bench" / "rivals"
SIZE_MOST_MB = 350
STARTS = 5
LIMIT_S = 300
ARCHITECTURE = CONTAINERS.architecture
# The title of the page's last part, which tests/bench/containers_arm64.py writes.
ARM64 = "\n## Images for arm64\n"
CONFIG = """
camera = []
[web]
listen = "127.0.0.1:8080"
[mqtt]
url = ""
[detector]
workers = 1
[gateway]
full_side = 0
deadline_ms = 20000
"""
PREPARE = f"""
install -d -o 10001 -g 10000 -m 0770 /srv/run
cat >/srv/config.toml <<'EOF'
{CONFIG}
EOF
"""
START = """
began=$(date +%s%N)
{run}
wait
until curl -sf -o /tmp/answer http://127.0.0.1:8080/healthz; do sleep 0.01; done
alive=$(date +%s%N)
ask="-o /tmp/answer -H Content-Type:image/jpeg --data-binary @{photo} http://127.0.0.1:8080{path}"
until curl -sf $ask; do sleep 0.01; done
answered=$(date +%s%N)
docker rm -f $(docker ps -aq) >/dev/null
grep -q box /tmp/answer
echo $((alive - began)) $((answered - began))
"""
ON_HOST = "--network host"
RIVAL = "tests.bench.rivals"
QUIET = "--loglevel WARNING --without-gossip --without-mingle --without-heartbeat"
THREADS = "--worker-class gthread --threads 32"
RUN = "docker run -d --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp"


class Program(NamedTuple):
    """What answers pictures at `path`: the arguments of one `docker run` or several, which run side by side."""

    title: str
    path: str
    runs: tuple[str, ...]


class Started(NamedTuple):
    """Seconds from the start until `/healthz` is 200, and until the first picture is answered."""

    alive_s: float
    first_answer_s: float


PROGRAMS = (
    Program(
        "visavis (daemon and worker)",
        "/api/v1/detect",
        (
            f"{ON_HOST} -v /srv/run:/run/visavis -v /srv/config.toml:/etc/visavis/config.toml:ro visavis-daemon",
            "--network none -v /srv/run:/run/visavis visavis-worker --backend onnxruntime --threads 1",
        ),
    ),
    Program(
        "Flask, development server",
        "/detect",
        (f"{ON_HOST} rival-flask flask --app {RIVAL}.flask_app run --port 8080",),
    ),
    Program(
        "Flask + gunicorn",
        "/detect",
        (f"{ON_HOST} rival-flask gunicorn --bind 127.0.0.1:8080 {RIVAL}.flask_app:app",),
    ),
    Program(
        "FastAPI + uvicorn",
        "/detect",
        (f"{ON_HOST} rival-fastapi uvicorn --port 8080 {RIVAL}.fastapi_app:app",),
    ),
    Program(
        "Flask + Celery + Redis",
        "/detect",
        (
            f'{ON_HOST} rival-store valkey-server --bind 127.0.0.1 --save "" --dir /tmp',
            f"{ON_HOST} rival-celery celery -A {RIVAL}.celery_app:queue worker --concurrency 1 {QUIET}",
            f"{ON_HOST} rival-celery gunicorn {THREADS} --bind 127.0.0.1:8080 {RIVAL}.celery_app:app",
        ),
    ),
)
# Image -> the stage of its Dockerfile, and what is installed in it.
RIVAL_IMAGES = {
    "rival-flask": ("rival", "flask"),
    "rival-fastapi": ("rival", "fastapi"),
    "rival-celery": ("rival", "celery"),
    "rival-store": ("store", ""),
}
DEBIANS = {"BASE": base, "FETCH_BASE": fetching}


def rival(image: str) -> Path:
    """Build an image of a rival, and write it for `docker load`."""
    name, (stage, kind) = f"localhost/{image}:{ARCHITECTURE}", RIVAL_IMAGES[image]
    arguments = {word: base_of(BASES["BASE"], ARCHITECTURE) for word, base_of in DEBIANS.items()}
    arguments |= {"WORKER": build("worker", ARCHITECTURE), "KIND": kind}
    words = [f"--build-arg={word}={value}" for word, value in arguments.items()]
    options = ["--isolation=chroot", "--layers", "--pull-never", "--ignorefile", str(RIVALS / "ignored")]
    buildah("build", "-q", *options, *words, "--target", stage, "-t", name, "-f", str(RIVALS / "Dockerfile"), ".")
    return save(name, f"docker.io/library/{image}:latest")


def size_mb(machine: Machine, image: str) -> float:
    """What its layers take on the disk, 10^6 bytes."""
    return int(machine.run(f"docker image inspect -f '{{{{.Size}}}}' {image}")) / 1e6


def start(machine: Machine, program: Program) -> Started:
    """Start the containers side by side, ask, and remove them."""
    run = "\n".join(f"{RUN} {words} >/dev/null &" for words in program.runs)
    script = START.format(run=run, photo=f"{INSIDE}/photo.jpg", path=program.path)
    said = machine.run(
        f"timeout {LIMIT_S} sh -ec '{script}' || {{ docker ps -a; docker logs $(docker ps -aql); exit 1; }}"
    )
    return Started(*(int(value) / 1e9 for value in said.split()))


def starts(machine: Machine, program: Program) -> Started:
    """The median of some starts; the first one, which reads from the disk, does not count."""
    seen = [start(machine, program) for _ in range(STARTS + 1)][1:]
    return Started(*(statistics.median(values) for values in zip(*seen, strict=True)))


def main() -> int:
    """Measure, write, and say whether the bars hold."""
    if missing := missing_programs():
        print(f"containers: install {' and '.join(missing)}, or run `scripts/setup.sh vm`", file=sys.stderr)
        return 1
    archives = [*(archive(target, ARCHITECTURE) for target in TARGETS), *(rival(image) for image in RIVAL_IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        for machine in with_docker(archives, Path(folder)):
            return measure(machine)
    return 1


def measure(machine: Machine) -> int:
    """Weigh and start everything, and write the page; returns the exit status."""
    machine.run(PREPARE)
    bars = [Bar(f"visavis-{name}", size_mb(machine, f"visavis-{name}"), SIZE_MOST_MB, "MB") for name in TARGETS]
    rivals = {image: size_mb(machine, image) for image in RIVAL_IMAGES}
    times = {program.title: starts(machine, program) for program in PROGRAMS}
    _, kept = parts(PAGE.read_text())
    PAGE.write_text("\n".join(page(bars, rivals, times)) + "\n" + kept)
    return verdict(bars)


def verdict(bars: Sequence[Bar]) -> int:
    """Show each; returns the exit status."""
    print("\n".join(bar.row() for bar in bars))
    return 0 if all(bar.holds for bar in bars) else 1


def parts(text: str) -> tuple[str, str]:
    """The page without its part about arm64, and that part, which may be missing."""
    others, title, rest = text.partition(ARM64)
    return others, title + rest


def sizes(bars: Sequence[Bar]) -> list[list[str]]:
    """Rows of a table."""
    return [[f"`{bar.what}`", f"{bar.value:.0f} MB", f"≤ {bar.limit:.0f} MB"] for bar in bars]


def page(bars: Sequence[Bar], rivals: dict[str, float], times: dict[str, Started]) -> list[str]:
    """The lines of docs/reference/containers.md."""
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load average at the end {os.getloadavg()[0]:.1f}"
    others = [[f"`{name}`", f"{size:.0f} MB", ""] for name, size in rivals.items()]
    rows = [[name, f"{one.alive_s:.2f} s", f"{one.first_answer_s:.2f} s"] for name, one in times.items()]
    return [
        "# Containers: size and start",
        "",
        "The last run of `make bench-containers`, written by it.",
        f"Machine: {machine}. Docker is Debian 13's, in a container of systemd-nspawn on this machine.",
        "",
        "## Images",
        "",
        "All layers, unpacked, as Docker tells it. The base, a Debian with nothing but apt, is in each of them and on",
        "a disk only once. The rivals' have the same detector, but for `rival-store`: Valkey, in the place of Redis.",
        "",
        *table(["image", "size", "bar"], [*sizes(bars), *others]),
        "",
        "## Start",
        "",
        f"Median of {STARTS} starts, from the disk's cache: from `docker run` until `/healthz` answers, and until the",
        "first picture is answered with faces. One process infers, with one thread. Each container is read-only,",
        "without capabilities, and on the machine's own network. Several start side by side: visavis's two, and",
        "Celery's three (store, worker, gunicorn).",
        "",
        *table(["what", "`/healthz`", "first picture"], rows),
    ]


if __name__ == "__main__":
    sys.exit(main())

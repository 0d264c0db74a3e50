# SPDX-License-Identifier: Apache-2.0
"""A system of a test's own for what dpkg and systemd run of our packages: mounts, a network, programs that note."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "deb" / "scripts"
BROKER = SCRIPTS.parents[1] / "broker"
AWK = shutil.which("awk") or "/usr/bin/awk"
CALLED = ("systemd-sysusers", "python3", "dpkg-trigger", "systemd-tmpfiles", "journalctl", "udevadm", "systemctl")
OWNERS = ("chown", "install")  # a user's own namespace has no user mosquitto
MOUNTS = " && ".join(f"mount --bind {name} /{name}" for name in ("run", "etc", "var", "usr/share")) + (
    " && mount --bind sbin /usr/sbin"
)
# Runs mosquitto until it says that it does, and fails where it ends before that; $1 gets what it says.
STARTED = r"""
started() {
	: >$1
	mosquitto -v -c /etc/mosquitto/mosquitto.conf >>$1 2>&1 &
	while kill -0 $! 2>/dev/null; do
		if grep -q ' running$' $1; then kill $!; wait $! || true; return 0; fi
		sleep 0.05
	done
	return 1
}
"""
RUNS = """\
echo "systemctl $*" >>calls
[ "$1" != is-active ] || echo active
[ "$1" != is-failed ]"""
ASKS = ("daemon-reload", "is-active", "is-failed", "is-enabled")
# Debian's mosquitto.conf, but for the user.
DEBIANS = "user root\npersistence true\ninclude_dir /etc/mosquitto/conf.d\n"


def furnish(folder: Path) -> Path:
    """Make what stands for /etc, /run, /var and /usr/sbin, and programs that only note calls."""
    for name in ("bin", "sbin", "usr/share", "run/systemd/system", "etc/mosquitto/conf.d", "var/lib"):
        (folder / name).mkdir(parents=True)
    for name in CALLED + OWNERS:
        program(folder / "bin" / name, f'echo "{name} $*" >>calls')
    (folder / "bin/awk").symlink_to(Path(AWK).resolve())  # /etc/alternatives is not there
    return folder


def noting(folder: Path) -> Path:
    """Make such a system where all runs; `timeout` really runs what it is told to."""
    furnish(folder)
    program(folder / "bin/systemctl", RUNS)
    program(folder / "bin/timeout", 'printf "within $1 s: " >>calls; shift; exec "$@"')
    return folder


def program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def alone(folder: Path, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run it with mounts and a network of its own."""
    own = ["unshare", "-mn" if os.geteuid() == 0 else "-rmn", "sh", "-c", command]
    return subprocess.run(
        own, cwd=folder, check=False, timeout=timeout_s, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def ran(place: Path, script: str, *words: str, code: int = 0, mounts: str = MOUNTS) -> list[str]:
    """What a script has called."""
    (place / "calls").write_text("")
    command = f"{mounts} && PATH=$PWD/bin:/usr/sbin:/usr/bin:/bin exec sh {SCRIPTS / script} {shlex.join(words)}"
    answer = alone(place, command, 60)
    (place / "errors").write_text(answer.stderr)
    assert answer.returncode == code, answer.stderr
    return (place / "calls").read_text().splitlines()


def asked(called: list[str]) -> list[str]:
    """What of it stops or starts a service."""
    return [call for call in called if call.startswith("systemctl ") and call.split()[1] not in ASKS]

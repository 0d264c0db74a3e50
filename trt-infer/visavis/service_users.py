# SPDX-License-Identifier: Apache-2.0
"""What the users of the package's services may not read, for root, who may read everything.

The answers are those of the kernel: a program that runs as such a user opens the files. What a sandbox hides is not
looked at.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from visavis.config_gen import Config
from visavis.daemon import DaemonMissing, ask_daemon, last_words
from visavis.settings import SYSTEM_CACHE
from visavis.worker_unit import UNIT, WORKERS, drop_ins

DAEMON = "visavis"
DAEMON_UNIT = UNIT.with_name("visavis-capture.service")
CREDENTIALS = Path("/var/lib/visavis/credentials.toml")
CREDSTORE = Path("/etc/credstore")
REFUSED = 2
TEST = "/usr/bin/test"
REMEDY = "for example after `sudo chgrp {group} FILE` and `sudo chmod g+r FILE`, or give it a credential of systemd"


class Rights(TypedDict):
    """Of one who runs a program, as subprocess takes them."""

    user: int
    group: int
    extra_groups: list[int]


def unreadable(settings: Config, file: Path) -> Iterator[str]:
    """Why the services of the package may not do with this configuration what root may."""
    daemon, workers = rights(DAEMON, DAEMON_UNIT), rights(WORKERS, UNIT)
    if daemon:
        yield from _refused(daemon, file)
        yield from _closed(daemon, DAEMON, of_daemon(settings))
    if workers:
        yield from _closed(workers, WORKERS, of_workers(settings))


def rights(name: str, unit: Path) -> Rights | None:
    """Those of a service, with the groups that its unit and drop-ins add; None where it has no user."""
    try:
        account = pwd.getpwnam(name)
        text = "\n".join((unit.read_text(errors="replace"), drop_ins(unit.name.replace("@.", "@*."))))
        added = " ".join(re.findall(r"^SupplementaryGroups\s*=(.*)$", text, re.MULTILINE)).split()
        groups = {*os.getgrouplist(name, account.pw_gid), *(grp.getgrnam(group).gr_gid for group in added)}
    except (KeyError, OSError):  # nothing can run as this user, which the start of the service says
        return None
    return Rights(user=account.pw_uid, group=account.pw_gid, extra_groups=sorted(groups))


def _refused(daemon: Rights, file: Path) -> Iterator[str]:
    """What the daemon will refuse; credentials are systemd's affair, which reads them as root."""
    try:
        said = ask_daemon("-config", str(file), "-check", "-no-credentials", cwd="/", capture_output=True, **daemon)
    except DaemonMissing as error:
        yield f"what {DAEMON}, whom the daemon runs as, may read was not looked at: {error}"
        return
    remedy = REMEDY.format(group=grp.getgrgid(daemon["group"]).gr_name)
    for problem in last_words(said).splitlines() if said.returncode == REFUSED else ():
        yield f"{DAEMON}, whom the daemon runs as: {problem}, {remedy}"


def _closed(who: Rights, name: str, files: dict[str, Path]) -> Iterator[str]:
    for setting, path in files.items():
        if path.exists() and path.parent != CREDSTORE and not may_read(who, path):
            yield f"{setting}: {name} may not read {path}: `sudo chown {name} FILE`, and let it into the folder"


def may_read(who: Rights, path: Path) -> bool:
    """Whether a program of this user may open a file."""
    return subprocess.run([TEST, "-r", path], cwd="/", check=False, **who).returncode == 0


def of_daemon(settings: Config) -> dict[str, Path]:
    """Files that the daemon opens only when it starts, by their settings."""
    files = {}
    if settings.auth.enabled:
        files["auth.file"] = Path(settings.auth.file or CREDENTIALS)
    if settings.auth.claim_code_file:
        files["auth.claim_code_file"] = Path(settings.auth.claim_code_file)
    for index, camera in enumerate(settings.camera):
        scheme, _, path = camera.source.partition(":")
        if scheme == "file":
            files[f"camera[{index}].source"] = Path(path)
    return files


def of_workers(settings: Config) -> dict[str, Path]:
    """Files that workers open, by their settings."""
    detector = settings.detector
    if detector.backend == "kserve":
        named = {"detector.kserve_ca": detector.kserve_ca, "detector.kserve_token_file": detector.kserve_token_file}
        return {setting: Path(path) for setting, path in named.items() if path}
    of_model = sorted((SYSTEM_CACHE / "originals").glob(f"{detector.model}[-.]*"))
    return {f"detector.model, {path.name}": path for path in of_model}

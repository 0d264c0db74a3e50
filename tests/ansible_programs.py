# SPDX-License-Identifier: Apache-2.0
"""The real Ansible, as it is now and the oldest that has to do, from the folders where set-up has put them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT

PLAYBOOKS = ROOT / "ansible"
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """What came of a playbook: its exit code, all it said, and the number of changes by host."""

    code: int
    said: str

    @property
    def changed(self) -> dict[str, int]:
        return {found[1]: int(found[3]) for found in RECAP.finditer(self.said)}


@dataclass(frozen=True)
class Ansible:
    """One release of Ansible, in a folder of set-up; `home` takes what it writes."""

    name: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def installed(cls, name: str, home: Path, environment: dict[str, str] | None = None) -> Ansible:
        """The release of this name; skips the test where there is none for this Python, as set-up has said."""
        one = cls(name, home, environment or {})
        if not one.there:
            pytest.skip(f"there is no {name} for Python {sys.version_info[0]}.{sys.version_info[1]}")
        return one

    @property
    def there(self) -> bool:
        """Whether set-up has put it there."""
        return (self.site / "bin" / "ansible-playbook").exists()

    @property
    def site(self) -> Path:
        return ROOT / "build" / "servers" / self.name / "site"

    def run(
        self, *words: str | Path, limit_s: float = 300, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in the folder of the playbooks."""
        path = f"{self.site / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(self.site), "ANSIBLE_HOME": str(self.home)}
        environment |= {"ANSIBLE_LOCAL_TEMP": str(self.home / "tmp"), "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
        return subprocess.run(
            [str(word) for word in words],
            cwd=PLAYBOOKS,
            env=environment | self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def play(self, *words: str | Path, limit_s: float = 300) -> Played:
        """Run ansible-playbook."""
        done = self.run("ansible-playbook", *words, limit_s=limit_s)
        return Played(done.returncode, done.stdout + done.stderr)

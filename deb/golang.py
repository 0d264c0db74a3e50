# SPDX-License-Identifier: Apache-2.0
"""Go as packages are built with it.

Of the settings of whoever builds only those count that say where modules come from and are kept: what else a shell or
`go env -w` sets, such as GOAMD64=v3, would get into the programs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# The name of the language's own library among modules.
ITSELF = "go"
MODULES = ("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH")
FOLDERS = ("GOMODCACHE", "GOCACHE")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
SHELL = ("PATH", "HOME", "TMPDIR", *AUTHORITIES, *PROXIES, *(name.lower() for name in PROXIES))
FIXED = {
    "GOENV": "off",
    "GOWORK": "off",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOAMD64": "v1",
    "GOARM64": "v8.0",
}


class Module(NamedTuple):
    path: str
    version: str


def environment() -> dict[str, str]:
    """The environment for every call of Go that makes what is published."""
    names = ("go", "env", "-json", *MODULES, *FOLDERS)
    said = subprocess.run(names, capture_output=True, text=True, check=True).stdout
    shell = {name: os.environ[name] for name in SHELL if name in os.environ}
    return {**shell, **json.loads(said), **FIXED}


def version() -> str:
    """The Go that builds, such as go1.24.4."""
    command = ["go", "env", "GOVERSION"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.strip()


def modules(program: Path) -> list[Module]:
    """What a program was compiled from, the language's own library included."""
    said = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=True).stdout
    return list(modules_in(said))


def modules_in(said: str) -> Iterator[Module]:
    """The modules in the words of `go version -m`; one that stands in for another has a line with => of its own."""
    rows = [line.split() for line in said.splitlines()]
    yield Module(ITSELF, rows[0][-1].removeprefix("go"))
    for row, after in zip(rows, [*rows[1:], ["", ""]], strict=True):
        if (row[0] == "dep" and after[0] != "=>") or row[0] == "=>":
            yield Module(row[1], row[2])

# SPDX-License-Identifier: Apache-2.0
"""Makes Debian packages: `python -m deb.build --suite bookworm --arch amd64`, or `make deb` for all of them.

Everything is made on one machine, for the others by cross compiler and ready wheels; nothing of this machine's own
system gets in. The same commit makes the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deb import cross, manual, python_home
from deb.kept import REPOSITORY
from deb.python_home import Python

NFPM = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0"
OUT = REPOSITORY / "build" / "deb"
EXAMPLE = """examples:
  python -m deb.build                                    every package
  python -m deb.build --suite trixie --arch arm64        the one for Raspberry Pi OS 13
"""


@dataclass(frozen=True)
class System:
    """A Debian to package for: its Python, and the number of its OpenCV's libraries."""

    target: cross.Target
    python: Python
    opencv: str

    @property
    def depends(self) -> list[str]:
        """What apt installs with it."""
        major, minor = self.python.version.split(".")
        modules = [f"libopencv-{module}{self.opencv}" for module in ("imgcodecs", "imgproc", "videoio")]
        python = [f"python3 (>= {self.python.version})", f"python3 (<< {major}.{int(minor) + 1})", "python3-systemd"]
        return ["libc6", "libstdc++6", *modules, *python, "systemd", "udev"]


SYSTEMS = {
    (target.suite, target.architecture): System(target, Python(python, target.architecture), opencv)
    for target, python, opencv in (
        (cross.BOOKWORM, "3.11", "406"),
        (cross.BOOKWORM_ARM, "3.11", "406"),
        (cross.TRIXIE, "3.13", "410"),
        (cross.TRIXIE_ARM, "3.13", "410"),
    )
}


def main() -> int:
    """Make what the command line names; prints one path a package."""
    suites, architectures = (sorted({key[at] for key in SYSTEMS}) for at in (0, 1))
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=suites, help="only for this Debian")
    parser.add_argument("--arch", choices=architectures, help="only for this architecture")
    wanted = parser.parse_args()
    for (suite, architecture), system in SYSTEMS.items():
        if suite == (wanted.suite or suite) and architecture == (wanted.arch or architecture):
            print(package(system, current_version()), flush=True)
    return 0


def package(system: System, version: str, out: Path = OUT) -> Path:
    """Make the package for one system and return its file."""
    name = f"{system.target.suite}-{system.target.architecture}"
    root = out / name
    shutil.rmtree(root, ignore_errors=True)
    print(f"deb: {name}: daemon, Python packages, files", file=sys.stderr, flush=True)
    fill(system, root, version)
    age(root)
    recipe = out / f"{name}.yaml"
    recipe.write_text(nfpm_recipe(system, root, version))
    file = out / f"visavis_{version}+{system.target.suite}_{system.target.architecture}.deb"
    command = ["go", "run", NFPM, "package", "--config", str(recipe), "--packager", "deb", "--target", str(file)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(commit_time_s())}
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=sys.stderr)
    return file


def fill(system: System, root: Path, version: str) -> None:
    """Write every file of the package below `root`."""
    program = root / "usr" / "bin" / "visavis-capture"
    program.parent.mkdir(parents=True)
    cross.daemon(system.target, program, version)
    python_home.make(root, system.python)
    copy(REPOSITORY / "systemd", root)
    shutil.copytree(REPOSITORY / "build" / "demo", root / "usr/share/visavis/demo")
    documents(root, version)
    put(REPOSITORY / "deb" / "config.toml", root / "etc/visavis/config.toml")
    (root / "etc/visavis/conf.d").mkdir()


def copy(units: Path, root: Path) -> None:
    """The services, and what they need of the system."""
    system = root / "usr/lib/systemd/system"
    for file in sorted(units.glob("visavis*")):
        if file.suffix in (".service", ".socket", ".target") and "avahi" not in file.name:
            put(file, system / file.name)
    put(units / "sysusers.d/visavis.conf", root / "usr/lib/sysusers.d/visavis.conf")
    put(units / "tmpfiles.d/visavis.conf", root / "usr/lib/tmpfiles.d/visavis.conf")
    put(units / "udev/70-visavis.rules", root / "usr/lib/udev/rules.d/70-visavis.rules")
    put(units / "visavis.catalog", root / "usr/lib/systemd/catalog/visavis.catalog")
    put(units / "visavis.avahi.service", root / "usr/share/doc/visavis/examples/avahi.service")


def documents(root: Path, version: str) -> None:
    """What Debian wants in every package, and the reference of the settings."""
    folder = root / "usr/share/doc/visavis"
    put(REPOSITORY / "docs/reference/config.md", folder / "config.md")
    put(REPOSITORY / "deb" / "copyright", folder / "copyright")
    put(REPOSITORY / "deb" / "lintian-overrides", root / "usr/share/lintian/overrides/visavis")
    for name, page in (("visavis", manual.command_line), ("visavis-capture", manual.daemon)):
        compress(page(git("log", "-1", "--format=%cs"), version).encode(), root / f"usr/share/man/man1/{name}.1.gz")
    news = f"visavis ({version}) stable; urgency=medium\n\n  * See /usr/share/doc/visavis/CHANGELOG.md.gz.\n\n"
    news += f" -- {maintainer()}  {debian_date()}\n"
    compress(news.encode(), folder / "changelog.gz")
    compress((REPOSITORY / "CHANGELOG.md").read_bytes(), folder / "CHANGELOG.md.gz")


def compress(text: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text, 9, mtime=0))


def put(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)


def nfpm_recipe(system: System, root: Path, version: str) -> str:
    """nfpm's own configuration: deb/nfpm.yaml with this system's values."""
    values = {
        "ARCH": system.target.architecture,
        "VERSION": f"{version}+{system.target.suite}",
        "MAINTAINER": maintainer(),
        "ROOT": str(root),
        "SCRIPTS": str(REPOSITORY / "deb" / "scripts"),
        "DEPENDS": "".join(f"  - {one}\n" for one in system.depends),
    }
    text = (REPOSITORY / "deb" / "nfpm.yaml").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@\n" if value.endswith("\n") else f"@{name}@", value)
    return text


def age(root: Path) -> None:
    """Give every file the time of the commit and the plain modes, whatever umask this shell has."""
    when = commit_time_s()
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.parent == root / "usr/bin"
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (when, when), follow_symlinks=False)


def current_version() -> str:
    """The version in pyproject.toml."""
    (found,) = re.findall(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    return str(found)


def maintainer() -> str:
    """Who builds it, as Debian's own tools ask for it."""
    return f"{os.environ.get('DEBFULLNAME', 'visavis')} <{os.environ.get('DEBEMAIL', 'visavis@localhost')}>"


def commit_time_s() -> int:
    return int(git("log", "-1", "--format=%ct"))


def debian_date() -> str:
    return git("log", "-1", "--format=%cD")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

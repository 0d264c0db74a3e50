# SPDX-License-Identifier: Apache-2.0
"""Makes Debian packages: `python -m deb.build --suite bookworm --arch amd64`, or `make deb` for all of them.

Everything is made on one machine, for the others by cross compiler and ready wheels; nothing of this machine's own
system gets in. The same commit makes the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.model.component import ComponentType

from deb import beside, completion, cross, licences, manual, python_home, sbom
from deb.bundled import PartError
from deb.kept import REPOSITORY, one_at_a_time
from deb.packing import OUT, Package, commit_time_s, compress, current_version, empty, git, pack, put
from deb.python_home import Python

__all__ = ["SYSTEMS", "System", "commit_time_s", "current_version", "package"]

DESCRIPTION = """\
Face detection as an appliance
Captures cameras, detects faces on this device, and tells of them over MQTT
and on a small web page. Faces are hidden in every picture that it shows,
and nothing leaves the device by itself."""
EXAMPLE = """examples:
  python -m deb.build                                    every package
  python -m deb.build --suite trixie --arch arm64        those for Raspberry Pi OS 13
  python -m deb.build --suite jammy --arch arm64         those for JetPack 6, which stands on Ubuntu 22.04
"""


@dataclass(frozen=True)
class System:
    """A Debian or Ubuntu to package for: its Python, the number of its OpenCV's libraries, its libjpeg-turbo."""

    target: cross.Target
    python: Python
    opencv: str
    jpeg: str

    @property
    def depends(self) -> tuple[str, ...]:
        """What apt installs with it."""
        major, minor = self.python.version.split(".")
        modules = [f"libopencv-{module}{self.opencv}" for module in ("imgcodecs", "imgproc", "videoio")]
        python = [f"python3 (>= {self.python.version})", f"python3 (<< {major}.{int(minor) + 1})", "python3-systemd"]
        return ("libc6", "libstdc++6", self.jpeg, *modules, *python, "systemd", "udev")


SYSTEMS = {
    (target.suite, target.architecture): System(target, Python(python, target.architecture), opencv, jpeg)
    for target, python, opencv, jpeg in (
        (cross.BOOKWORM, "3.11", "406", "libjpeg62-turbo"),
        (cross.BOOKWORM_ARM, "3.11", "406", "libjpeg62-turbo"),
        (cross.TRIXIE, "3.13", "410", "libjpeg62-turbo"),
        (cross.TRIXIE_ARM, "3.13", "410", "libjpeg62-turbo"),
        (cross.UBUNTU_22, "3.10", "4.5d", "libjpeg-turbo8"),
        (cross.UBUNTU_22_ARM, "3.10", "4.5d", "libjpeg-turbo8"),
        (cross.UBUNTU_24, "3.12", "406t64", "libjpeg-turbo8"),
        (cross.UBUNTU_24_ARM, "3.12", "406t64", "libjpeg-turbo8"),
    )
}
# What the camera that everybody has shows.
DEMO = REPOSITORY / "build" / "demo"
# Made when nothing is named; Ubuntu's are made when they are asked for.
USUAL = ("bookworm", "trixie")


def main() -> int:
    """Make what the command line names; prints one path a package."""
    suites, architectures = (sorted({key[at] for key in SYSTEMS}) for at in (0, 1))
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", choices=suites, help="only for this release; Ubuntu's are made only so")
    parser.add_argument("--arch", choices=architectures, help="only for this architecture")
    wanted = parser.parse_args()
    chosen = [wanted.suite] if wanted.suite else USUAL
    needed = {"mmdebstrap"} | {f"{system.target.triple}-g++" for system in systems(chosen, wanted.arch)}
    if missing := sorted(name for name in needed if shutil.which(name) is None):
        print(f"deb: {', '.join(missing)} is missing: `scripts/setup.sh vm` installs it", file=sys.stderr)
        return 1
    try:
        for file in packages(chosen, wanted.arch):
            print(file, flush=True)
    except PartError as error:
        print(f"deb: {error}", file=sys.stderr)
        return 1
    return 0


def packages(suites: Sequence[str] = USUAL, only: str | None = None) -> Iterator[Path]:
    """Make the packages of this version for some releases, and of one architecture if it is named; yield each file."""
    for system in systems(suites, only):
        yield package(system, current_version())
    yield from beside.packages(current_version())


def systems(suites: Sequence[str], only: str | None) -> list[System]:
    """Those of some releases, and of one architecture if it is named."""
    return [one for (suite, own), one in SYSTEMS.items() if suite in suites and own == (only or own)]


@one_at_a_time("packages")
def package(system: System, version: str, out: Path = OUT) -> Path:
    """Make the package `visavis` for one system and return its file."""
    target = system.target
    name = f"{target.suite}-{target.architecture}"
    print(f"deb: {name}: daemon, Python packages, files", file=sys.stderr, flush=True)
    root = empty(name, out)
    fill(system, root, version)
    made = Package(
        name="visavis",
        architecture=target.architecture,
        version=f"{version}+{target.suite}",
        section="video",
        description=DESCRIPTION,
        depends=system.depends,
        recommends=("mosquitto", "avahi-daemon"),
        suggests=("visavis-broker", "visavis-tensorrt"),
        settings=("etc/visavis/config.toml",),
        folders=("etc/visavis/conf.d",),
    )
    return pack(made, root, out)


def fill(system: System, root: Path, version: str) -> None:
    """Write every file of the package below `root`."""
    program = root / "usr" / "bin" / "visavis-capture"
    program.parent.mkdir(parents=True)
    cross.daemon(system.target, program, version)
    python_home.make(root, system.python)
    copy(REPOSITORY / "systemd", root)
    shutil.copytree(DEMO, root / "usr/share/visavis/demo")
    texts(root, version)
    texts_of_others(system, root)
    put(REPOSITORY / "deb" / "config.toml", root / "etc/visavis/config.toml")


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


def texts(root: Path, version: str) -> None:
    """What people read, and what their shells complete."""
    folder = root / "usr/share/doc/visavis"
    put(REPOSITORY / "docs/reference/config.md", folder / "config.md")
    put(REPOSITORY / "docs/how-to/secrets.md", folder / "secrets.md")
    compress((REPOSITORY / "CHANGELOG.md").read_bytes(), folder / "CHANGELOG.md.gz")
    for name, page in (("visavis", manual.command_line), ("visavis-capture", manual.daemon)):
        compress(page(git("log", "-1", "--format=%cs"), version).encode(), root / f"usr/share/man/man1/{name}.1.gz")
    for place, script in completion.scripts().items():
        file = root / place
        file.parent.mkdir(parents=True)
        file.write_text(script)
    about = sbom.product("visavis", version, ComponentType.APPLICATION)
    (folder / "sbom.cdx.json").write_bytes(sbom.document(about, sbom.of_product(root), commit_time_s()))


def texts_of_others(system: System, root: Path) -> None:
    """The licences of what is compiled into the daemon; Python packages bring their own."""
    licences.must_be_with_python(root / python_home.site(system.python))
    environment = cross.compilers(system.target, cross.sysroot(system.target))
    text = licences.of_daemon(root / sbom.DAEMON, environment, cross.TAGS)
    (root / "usr/share/doc/visavis/licences.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())

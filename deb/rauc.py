# SPDX-License-Identifier: Apache-2.0
"""Makes rauc 1.13 for systems that have an older one: `python -m deb.rauc --suite jammy --arch arm64`.

The settings of an image (firmware-image/update/system.conf) need it: Ubuntu 22.04, on which JetPack 6 stands, has
1.6, and 24.04 has 1.11. It is Debian 13's own source, compiled for the other system: `rauc` and `rauc-service`, as
Debian divides them. What fetches bundles from servers (curl, NBD) is left out, since `visavis update install` takes a
file. The same commit makes the same bytes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from deb import cross, pinned
from deb.kept import kept, one_at_a_time
from deb.packing import OUT, Package, commit_time_s, compress, empty, pack

VERSION = "1.13-3+deb13u1"
POOL = "pool/main/r/rauc"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org")
# Where it stays, whatever mirror this machine asks and whatever Debian has next.
ADDRESS = f"https://snapshot.debian.org/package/rauc/{VERSION}/"
# Debian's archive of all that ever was, for when the mirror has a newer one.
PLACES = (f"{MIRROR}/debian", "http://snapshot.debian.org/archive/debian/20261101T000000Z")
DESCRIPTION = f"rauc_{VERSION}.dsc"
SOURCES = {
    DESCRIPTION: "f230df71787837e720776fdf3eeed54a24104066c2df08f60600e98bbb721c4a",
    "rauc_1.13.orig.tar.xz": "1ddb218a5d713c8dbd6e04d5501d96629f1c8e2521576fbd9e7751edb7da113e",
    "rauc_1.13.orig.tar.xz.asc": "016a7df0a1d667194a986649192cf6617aded11885227087e7c7bcce693d95c2",
    f"rauc_{VERSION}.debian.tar.xz": "c50713d55577f37a3ddfb69c1fbc6df41871261ec514c162051c8ef4e508ce1b",
}
LIBRARIES = ("libglib2.0-dev", "libjson-glib-dev", "libssl-dev", "libfdisk-dev", "libdbus-1-dev")
# Which package has a library; the word behind it is only in the names of 24.04, whose clock is larger there.
PACKAGES = {
    "ld-linux": "libc6",
    "libc.so": "libc6",
    "libglib-2.0": "libglib2.0-0",
    "libgio-2.0": "libglib2.0-0",
    "libgobject-2.0": "libglib2.0-0",
    "libjson-glib-1.0": "libjson-glib-1.0-0",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "libfdisk.so.1": "libfdisk1",
}
RENAMED = {"noble": ("libglib2.0-0", "libssl3")}
SYSTEMS = {
    (target.suite, target.architecture): target
    for target in (
        # Its rauc 1.8 is too old as well. Its archive has all architectures, so this is where arm64 is tested.
        cross.BOOKWORM,
        cross.BOOKWORM_ARM,
        cross.UBUNTU_22,
        cross.UBUNTU_22_ARM,
        cross.UBUNTU_24,
        cross.UBUNTU_24_ARM,
    )
}
# What Debian hardens its programs with.
COMPILE = ("-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wformat", "-Werror=format-security")
LINK = ("-Wl,--as-needed", "-Wl,-z,relro", "-Wl,-z,now")
FOLDERS = {
    "systemdunitdir": "/usr/lib/systemd/system",
    "systemdcatalogdir": "/usr/lib/systemd/catalog",
    "dbuspolicydir": "/usr/share/dbus-1/system.d",
    "dbussystemservicedir": "/usr/share/dbus-1/system-services",
    "dbusinterfacesdir": "/usr/share/dbus-1/interfaces",
}
OPTIONS = {"network": "false", "streaming": "false", "gpt": "enabled", "tests": "false", "b_pie": "true", **FOLDERS}
# What of the installed files is in rauc-service; the rest is in rauc.
SERVICE = ("usr/lib/systemd/system", "usr/share/dbus-1", "usr/share/rauc")
TEXT = """\
{summary}
Writes signed bundles into the slot of a device that does not run. This is
Debian 13's source, compiled for {suite}, without what fetches bundles from
servers. The source:
{address}"""


class BuildError(Exception):
    """The packages cannot be made; the sentence says what to do."""


def main() -> int:
    """Make what the command line names; prints one path a package."""
    suites, architectures = (sorted({key[at] for key in SYSTEMS}) for at in (0, 1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=suites, required=True, help="for this release")
    parser.add_argument("--arch", choices=architectures, required=True, help="for this architecture")
    wanted = parser.parse_args()
    try:
        for file in packages(SYSTEMS[wanted.suite, wanted.arch]):
            print(file, flush=True)
    except (BuildError, pinned.PinnedError) as error:
        print(f"rauc: {error}", file=sys.stderr)
        return 1
    return 0


@one_at_a_time("packages")
def packages(target: cross.Target, out: Path = OUT) -> list[Path]:
    """Make `rauc` and `rauc-service` for a system and return their files.

    Raises:
        BuildError: a program is missing here, or rauc uses a library that nobody knows the package of.
        PinnedError: the source cannot be had.
    """
    must_have_programs(target)
    root = empty(f"rauc-{target.suite}-{target.architecture}", out)
    service = empty(f"rauc-service-{target.suite}-{target.architecture}", out)
    with TemporaryDirectory() as folder:
        source = unpacked(Path(folder) / "source")
        compiled(target, source, root)
        divide(root, service)
        made = described(target, depends(target, root / "usr/bin/rauc"), source / "debian")
        return [pack(made[0], root, out), pack(made[1], service, out)]


def must_have_programs(target: cross.Target) -> None:
    """Name what is missing before anything is fetched."""
    needed = ("mmdebstrap", "dpkg-source", "meson", "ninja", "gdbus-codegen", f"{target.triple}-gcc")
    if missing := [name for name in needed if shutil.which(name) is None]:
        raise BuildError(f"{', '.join(missing)} is missing: `scripts/setup.sh vm` installs it")


def unpacked(folder: Path) -> Path:
    """Debian's source with Debian's changes."""
    files = kept(f"rauc-{SOURCES[DESCRIPTION][:16]}", fetch)
    command = ["dpkg-source", "--no-check", "--extract", str(files / DESCRIPTION), str(folder)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return folder


def fetch(folder: Path) -> None:
    """Have the files of the source in a folder."""
    for name, sha256 in SOURCES.items():
        places = [f"{place}/{POOL}/{name}" for place in PLACES]
        (folder / name).write_bytes(pinned.content(places, sha256))


def compiled(target: cross.Target, source: Path, root: Path) -> None:
    """Compile the source and install it below `root`."""
    machine, build = source.parent / "machine.ini", source.parent / "build"
    machine.write_text(machine_file(target, cross.sysroot(target, LIBRARIES), source.parent))
    options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
    layout = ["--prefix=/usr", "--libdir=lib", "--buildtype=plain", "--wrap-mode=nodownload"]
    # Flags that this shell may have are for its own machine, and meson would take them.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("FLAGS")}
    environment["SOURCE_DATE_EPOCH"] = str(commit_time_s())
    for words in (
        ["setup", f"--cross-file={machine}", *layout, *options, str(build), str(source)],
        ["compile", "-C", str(build)],
        ["install", "-C", str(build), "--no-rebuild", "--strip", f"--destdir={root.resolve()}"],
    ):
        subprocess.run(["meson", *words], env=environment, check=True, stdout=sys.stderr)


def machine_file(target: cross.Target, sysroot: Path, folder: Path) -> str:
    """What meson is told of the machine that rauc is compiled for; no path of this one gets into the program."""
    cpu = target.triple.partition("-")[0]
    sections: dict[str, dict[str, object]] = {
        "binaries": {
            # Without -B it finds the C library of its own machine first.
            "c": [f"{target.triple}-gcc", f"--sysroot={sysroot}", f"-B{sysroot}/usr/lib/{target.triple}/"],
            "ar": f"{target.triple}-gcc-ar",
            "strip": f"{target.triple}-strip",
            "pkgconfig": "pkg-config",
        },
        "built-in options": {
            "c_args": [*COMPILE, f"-ffile-prefix-map={folder}=."],
            "c_link_args": list(LINK),
        },
        "properties": {
            "sys_root": str(sysroot),
            "pkg_config_libdir": [f"{sysroot}/usr/lib/{target.triple}/pkgconfig", f"{sysroot}/usr/share/pkgconfig"],
            "needs_exe_wrapper": True,
        },
        "host_machine": {"system": "linux", "cpu_family": cpu, "cpu": cpu, "endian": "little"},
    }
    lines = (
        line
        for title, values in sections.items()
        for line in (f"[{title}]", *(f"{key} = {meson_value(value)}" for key, value in values.items()))
    )
    return "\n".join(lines) + "\n"


def meson_value(value: object) -> str:
    """Meson writes values as Python does, but for true and false."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def divide(root: Path, service: Path) -> None:
    """Move what belongs to the package rauc-service."""
    for folder in SERVICE:
        (service / folder).parent.mkdir(parents=True, exist_ok=True)
        (root / folder).rename(service / folder)
    page = root / "usr/share/man/man1/rauc.1"
    compress(page.read_bytes(), page.with_suffix(".1.gz"))
    page.unlink()


def depends(target: cross.Target, program: Path) -> tuple[str, ...]:
    """The packages of the libraries that a program is really linked with."""
    command = [f"{target.triple}-readelf", "--dynamic", "--wide", str(program)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"\(NEEDED\).*\[(.+)\]", said)
    return tuple(sorted({package_of(library, target.suite) for library in libraries}))


def package_of(library: str, suite: str) -> str:
    """The name of a library's package; no version, since the suite's first one is what it was compiled with."""
    for begin, name in PACKAGES.items():
        if library.startswith(begin):
            return name + "t64" * (name in RENAMED.get(suite, ()))
    raise BuildError(f"rauc is linked with {library}: name its package in deb/rauc.py")


def described(target: cross.Target, libraries: tuple[str, ...], source: Path) -> tuple[Package, Package]:
    """What apt is told of the two packages."""
    version = f"{VERSION}~{target.suite}"

    def text(summary: str) -> str:
        return TEXT.format(summary=summary, suite=target.suite, address=ADDRESS)

    rauc = Package(
        name="rauc",
        architecture=target.architecture,
        version=version,
        section="admin",
        description=text("Robust Auto-Update Controller - binary"),
        depends=(*libraries, "dbus", "systemd"),
        suggests=("squashfs-tools",),
        source=source,
    )
    service = Package(
        name="rauc-service",
        architecture="all",
        version=version,
        section="admin",
        description=text("Robust Auto-Update Controller - service"),
        depends=(f"rauc (>= {version})",),
        source=source,
    )
    return rauc, service


if __name__ == "__main__":
    sys.exit(main())

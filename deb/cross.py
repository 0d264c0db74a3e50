# SPDX-License-Identifier: Apache-2.0
"""Compiles programs for another system: this machine's compilers, the other one's headers and libraries."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deb import golang, ubuntu
from deb.kept import REPOSITORY, kept

TAGS = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio"
# What the daemon is compiled with.
LIBRARIES = ("libopencv-dev", "libjpeg-dev")
# OpenCV's own libraries need some whose places are only decided when they are configured.
LINK = "-O2 -g -Wl,--as-needed -Wl,--allow-shlib-undefined -Wl,-z,relro,-z,now"


@dataclass(frozen=True)
class Target:
    """A system to compile for; `libstdcxx` is the version of its C++ library."""

    suite: str
    architecture: str
    triple: str
    libstdcxx: int

    @property
    def compiler(self) -> tuple[str, ...]:
        """The packages that a compiler for it needs."""
        return ("libc6-dev", f"libstdc++-{self.libstdcxx}-dev", f"libgcc-{self.libstdcxx}-dev")


BOOKWORM = Target("bookworm", "amd64", "x86_64-linux-gnu", 12)
BOOKWORM_ARM = Target("bookworm", "arm64", "aarch64-linux-gnu", 12)
TRIXIE = Target("trixie", "amd64", "x86_64-linux-gnu", 14)
TRIXIE_ARM = Target("trixie", "arm64", "aarch64-linux-gnu", 14)
# OpenCV 4.5.4; JetPack 6 stands on it too, with an OpenCV of NVIDIA's beside it.
UBUNTU_22 = Target("jammy", "amd64", "x86_64-linux-gnu", 11)
UBUNTU_22_ARM = Target("jammy", "arm64", "aarch64-linux-gnu", 11)
UBUNTU_24 = Target("noble", "amd64", "x86_64-linux-gnu", 13)
UBUNTU_24_ARM = Target("noble", "arm64", "aarch64-linux-gnu", 13)


def sysroot(target: Target, libraries: tuple[str, ...] = LIBRARIES) -> Path:
    """The folder that stands for the target's root when programs that use these packages are compiled for it."""
    packages = (*libraries, *target.compiler)
    return kept(f"sysroot-{recipe(target, packages)}", lambda folder: unpack(target, packages, folder))


def recipe(target: Target, packages: tuple[str, ...]) -> str:
    """A name that changes with whatever is unpacked."""
    return hashlib.sha256(f"{target} {packages}".encode()).hexdigest()[:16]


def unpack(target: Target, packages: tuple[str, ...], folder: Path) -> None:
    """Fetch packages and what they depend on; only unpacked, so nothing of another processor runs here."""
    archive = folder / "root.tar"
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--arch={target.architecture}"]
    command += ubuntu.options(target.suite)
    subprocess.run([*command, f"--include={','.join(packages)}", target.suite, str(archive)], check=True)
    # Ours, whoever we are: in a folder mmdebstrap would leave files of a user whom only root can tell to go.
    subprocess.run(["tar", "-xf", archive, "-C", folder, "--no-same-owner", "--exclude=./dev"], check=True)
    archive.unlink()
    for name in ("lib", "lib64"):  # what base-files would do when it is configured
        if (folder / name).is_dir() and not (folder / name).is_symlink():  # some packages still bring files there
            shutil.copytree(folder / name, folder / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder / name)
        if not (folder / name).exists():
            (folder / name).symlink_to(f"usr/{name}")


def daemon(target: Target, program: Path, version: str = "dev") -> None:
    """Write visavis-capture for the target; the same sources make the same bytes."""
    environment = compilers(target, sysroot(target))
    flags = [str(REPOSITORY / "scripts" / "opencv_flags.sh")]
    said = subprocess.run(flags, env=environment, capture_output=True, text=True, check=True).stdout
    environment["CGO_CXXFLAGS"] = said.strip()
    link = f"-s -w -buildid= -X main.version={version}"
    command = ["go", "build", "-buildmode=pie", "-trimpath", "-buildvcs=false", "-tags", TAGS, "-ldflags", link]
    command += ["-o", str(program), "./cmd/visavis-capture"]
    subprocess.run(command, cwd=REPOSITORY / "go-capture", env=environment, check=True)


def compilers(target: Target, root: Path) -> dict[str, str]:
    """What Go is told of the target, and nothing of this machine that would get into the program."""
    return {
        **golang.environment(),
        "CGO_ENABLED": "1",
        "GOARCH": target.architecture,
        "CC": f"{target.triple}-gcc --sysroot={root}",
        "CXX": f"{target.triple}-g++ --sysroot={root}",
        "CGO_LDFLAGS": LINK,
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "PKG_CONFIG_LIBDIR": f"{root}/usr/lib/{target.triple}/pkgconfig",
    }

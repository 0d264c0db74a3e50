# SPDX-License-Identifier: Apache-2.0
"""The images of compose.yaml without Docker and without a registry.

`python -m containers.build [--arch arm64] [TARGET...]`

buildah builds them from the Dockerfile as `docker build` does, from Debians that mmdebstrap makes in place of
debian:trixie-slim and debian:bookworm-slim. They lie in build/containers for `docker load`. All is made anew once a
month, since what apt has installed in an image stays as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from functools import cache
from pathlib import Path

from deb.kept import CACHE, REPOSITORY, kept

TARGETS = ("broker", "balancer", "worker", "model-server", "daemon")
# The arguments of the Dockerfile, and what they stand for when there is a registry: what images are made from, and
# where packages for one are fetched.
BASES = {"BASE": "trixie", "OLDER_BASE": "bookworm"}
FETCHING = {"FETCH_BASE": "trixie", "OLDER_FETCH_BASE": "bookworm"}
NATIVE = {"aarch64": "arm64"}.get(platform.machine(), "amd64")
ARCHIVES = REPOSITORY / "build" / "containers"
DOCKERFILE = "containers/Dockerfile"
# What debian:*-slim leaves out, and keeps of that: the terms of each package. apt in the image heeds it, too.
UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/groff/*")
LEFT_OUT = (*(f"path-exclude={path}" for path in UNWANTED), "path-include=/usr/share/doc/*/copyright")
# bookworm brings all of Perl along for a program that has nothing to do in a new root.
PERL = "usrmerge perl 'perl-modules-*' 'libperl5*' 'lib*-perl' 'libgdbm*'"
PURGE = f"chroot $1 dpkg --purge $(chroot $1 dpkg-query -Wf '${{Package}} ' {PERL})"
WITHOUT_PERL = f"! chroot $1 dpkg -s usrmerge >/dev/null 2>&1 || {PURGE}"
CLEAN = "rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/* $1/var/log/*"
# Where a proxy signs for the world, the builder's own authorities are needed to fetch packages, and belong into no
# image. The second is for older pips.
AUTHORITIES = ("SSL_CERT_FILE", "PIP_CERT")
BUILDERS = "/etc/ssl/of-the-builder.crt"


def folder_of(month: str) -> Path:
    """Where images and their Debians are for a month; those of another one are removed once this one is made."""
    folder = CACHE / f"containers-{month}"
    if not folder.exists():
        patterns = ("containers*", *(f"base-{suite}-*" for suite in BASES.values()))  # the latter were beside them
        former = [path for pattern in patterns for path in CACHE.glob(pattern)]
        folder.mkdir(parents=True)
        for path in former:
            remove(path)
    return folder


def remove(former: Path) -> None:
    """Take a month away; where something of it stays, that costs place and no build."""
    inside: tuple[str, ...] = ()
    if (former / "store").exists():
        # A build that was killed has left a layer mounted. Without root the files in layers are those of users that
        # only buildah can be.
        subprocess.run(in_store(former, "rm", "--all"), stdout=subprocess.DEVNULL, check=False)
        inside = () if os.geteuid() == 0 else ("buildah", "unshare")
    if subprocess.run([*inside, "rm", "-rf", "--one-file-system", former], check=False).returncode:
        print(f"containers: {former} of another month cannot be removed, and takes place until you do", file=sys.stderr)


@cache
def folder_of_this_month() -> Path:
    """The same to the end, should the month turn meanwhile."""
    return folder_of(f"{date.today():%Y-%m}")


def in_store(folder: Path, *words: str) -> list[str]:
    """The command that runs buildah on the store of a month."""
    running = Path(tempfile.gettempdir()) / f"visavis-{folder.name}"
    return ["buildah", "--root", str(folder / "store"), "--runroot", str(running), *words]


def buildah(*words: str) -> str:
    """Run buildah on a store of our own, and return what it says."""
    command = in_store(folder_of_this_month(), *words)
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def base(suite: str, architecture: str) -> str:
    """The name of a slim Debian; made when it is not there."""
    name = f"localhost/visavis-debian:{suite}-{architecture}"
    if exists(name):
        return name
    made = f"{folder_of_this_month().name}/debian-{suite}-{architecture}"
    root = kept(made, lambda folder: debian(suite, architecture, folder / "root.tar"))
    container = buildah("from", "--arch", architecture, "scratch")
    buildah("add", "-q", container, str(root / "root.tar"), "/")
    buildah("config", "--cmd", "bash", "--arch", architecture, container)
    buildah("commit", "-q", "--rm", container, name)
    return name


def fetching(suite: str, architecture: str) -> str:
    """The name of the same that trusts whom the builder trusts; no image may be made from it."""
    debian, authorities = base(suite, architecture), os.environ.get(AUTHORITIES[0])
    if not authorities:
        return debian
    digest = hashlib.sha256(Path(authorities).read_bytes()).hexdigest()[:12]
    name = f"{debian}-{digest}"
    if exists(name):
        return name
    container = buildah("from", "--pull-never", identity(debian))
    buildah("copy", "-q", container, authorities, BUILDERS)
    buildah("config", *(f"--env={word}={BUILDERS}" for word in AUTHORITIES), container)
    buildah("commit", "-q", "--rm", container, name)
    return name


def exists(name: str) -> bool:
    """Whether an image is in the store."""
    return bool(buildah("images", "--filter", f"reference={name}", "-q"))


def debian(suite: str, architecture: str, file: Path) -> None:
    """Write the root of a Debian that has nothing but apt."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--architectures={architecture}"]
    command += ["--include=usr-is-merged"]
    command += [f"--dpkgopt={option}" for option in LEFT_OUT]
    command += [f"--customize-hook={hook}" for hook in (WITHOUT_PERL, CLEAN)]
    subprocess.run([*command, suite, str(file)], check=True)


def build(target: str, architecture: str = NATIVE) -> str:
    """Build one image; returns its name."""
    name = f"localhost/visavis-{target}:{architecture}"
    given = [f"--build-arg={word}={value}" for word, value in arguments(architecture).items()]
    options = ["--force-rm", "--isolation=chroot", "--layers", f"--platform=linux/{architecture}", "--pull-never"]
    buildah("build", "-q", *options, *given, "--target", target, "-t", name, "-f", DOCKERFILE, ".")
    return name


def arguments(architecture: str) -> dict[str, str]:
    """The bases for the image's processor and for the builder's, which Docker itself would know."""
    bases = {word: base(suite, architecture) for word, suite in BASES.items()}
    bases |= {word: fetching(suite, architecture) for word, suite in FETCHING.items()}
    bases |= {"BUILD_BASE": fetching(BASES["BASE"], NATIVE)}
    return {word: identity(name) for word, name in bases.items()} | {"BUILDPLATFORM": f"linux/{NATIVE}"}


def identity(name: str) -> str:
    """An image's own name. Once a stage had a --platform, Debian 12's buildah finds no other one's by `name`."""
    return buildah("images", "-q", "--no-trunc", name).removeprefix("sha256:")


def archive(target: str, architecture: str = NATIVE) -> Path:
    """Build one image and write it for `docker load`, which then has it under its name in compose.yaml."""
    return save(build(target, architecture), f"docker.io/library/visavis-{target}:latest")


def save(image: str, name: str) -> Path:
    """Write an image for `docker load`, which then has it under `name`."""
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    file = ARCHIVES / f"{image.rsplit('/', maxsplit=1)[-1].replace(':', '-')}.tar"
    file.unlink(missing_ok=True)
    buildah("push", "-q", image, f"docker-archive:{file}:{name}")
    return file


def missing_programs() -> list[str]:
    """What this needs and the host lacks."""
    return [name for name in ("buildah", "mmdebstrap") if shutil.which(name) is None]


def parsed(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="containers.build", description="images for `docker load`")
    emulated = "this machine's unless given; what another one has to run is emulated: everything but the daemon"
    parser.add_argument("--arch", default=NATIVE, choices=("amd64", "arm64"), help=emulated)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Build and save; returns the exit status."""
    wanted = parsed(words)
    if missing := missing_programs():
        print(f"containers: install {' and '.join(missing)}, or run `scripts/setup.sh vm`", file=sys.stderr)
        return 1
    for target in wanted.targets or TARGETS:
        file = archive(target, wanted.arch)
        print(f"{file.stat().st_size / 1e6:4.0f} MB  {file.relative_to(REPOSITORY)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

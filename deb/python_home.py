# SPDX-License-Identifier: Apache-2.0
"""The Python home of a package: worker, command line and all that they import, for another system than this one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deb.kept import REPOSITORY, kept
from deb.pins import pins_for

HOME = "usr/lib/visavis"
REQUIREMENTS = ("runtime.txt", "model.txt")
# Which names of a platform a wheel for it may carry; newer C libraries run wheels for older ones.
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_26", "manylinux_2_27", "manylinux_2_28")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
IGNORED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Python:
    """The Python that a system brings, such as 3.11, on a Debian architecture."""

    version: str
    architecture: str

    @property
    def pip_options(self) -> list[str]:
        """What pip needs to know to choose wheels for it."""
        platforms = [f"--platform={name}_{MACHINES[self.architecture]}" for name in PLATFORMS]
        python = ["--python-version", self.version, "--ignore-requires-python"]  # it would ask that of its own version
        return [*python, "--implementation", "cp", *platforms, "--only-binary", ":all:"]


def make(root: Path, python: Python) -> None:
    """Write the home below `root`. It needs no pip on the device, and python3-systemd of the system is seen in it."""
    home, packages = root / HOME, root / site(python)
    shutil.copytree(installed(python), packages, copy_function=os.link)
    shutil.copytree(REPOSITORY / "trt-infer" / "visavis", packages / "visavis", ignore=IGNORED)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(f"../../../bin/python{python.version}")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {python.version}\n"
    )
    program = root / "usr" / "bin" / "visavis"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/{HOME}/bin/python3\nimport sys\n\nfrom visavis.cli import main\n\nsys.exit(main())\n")
    program.chmod(0o755)


def site(python: Python) -> str:
    """Where its packages lie below the root."""
    return f"{HOME}/lib/python{python.version}/site-packages"


def installed(python: Python) -> Path:
    """The folder with what requirements/ pins; made once for each set of pins."""
    files = [REPOSITORY / "requirements" / name for name in REQUIREMENTS]
    recipe = [*files, Path(__file__), Path(__file__).with_name("pins.py")]
    pins = repr(python).encode() + b"".join(file.read_bytes() for file in recipe)
    name = f"python-{hashlib.sha256(pins).hexdigest()[:16]}"
    return kept(name, lambda folder: install(folder, python, files))


def install(site: Path, python: Python, requirements: list[Path]) -> None:
    """Install pinned wheels for `python` into a folder; the same pins make the same bytes."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action", "ignore"]
    pip += ["--no-deps", "--require-hashes", "--no-compile", "--target", str(site), *python.pip_options]
    meant = site / "requirements.txt"
    texts = [pins_for(file.read_text(), python.version, MACHINES[python.architecture]) for file in requirements]
    meant.write_text("\n".join(texts) + "\n")
    subprocess.run([*pip, "-r", str(meant)], check=True)
    meant.unlink()
    strip(site)


def strip(site: Path) -> None:
    """Remove what wheels bring and no device needs."""
    shutil.rmtree(site / "bin", ignore_errors=True)  # their scripts name this machine's Python
    for tests in [*site.rglob("tests"), site / "onnx" / "backend" / "test"]:  # a third of all files, of no use here
        shutil.rmtree(tests, ignore_errors=True)
    for compiled in [*site.rglob("__pycache__")]:  # numpy for Python 3.10; the device makes its own
        shutil.rmtree(compiled)
    for record in site.glob("*.dist-info/RECORD"):  # lists those scripts, in an order of the moment
        record.unlink()
    for record in site.glob("*.dist-info/direct_url.json"):
        record.unlink()

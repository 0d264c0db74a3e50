# SPDX-License-Identifier: Apache-2.0
"""Check a configuration file: print every problem with file, line and key, and how to mend it.

Exit 2 when there is one. A model that is not there is only a warning: of the device's own configuration for the
package's workers, whose models only they and root may see, of any other for workers of yours, since those of another
user may have it. So is its int8 form, where the processor or TensorRT is to run that, so are events that the broker of
the package visavis-broker would not take, and a model server that the package's workers have no network for.
Certificates and keys that cannot be used, or not at this time, or that nobody has renewed, cost the page, the broker or
the model server that they are for and nothing else: they are warnings too. A page that others reach through a balancer
without a login is one more, since the daemon sees only the balancer. Root, who may read everything, is also told what
the users of the package's services may not read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from visavis.broker_rights import denied
from visavis.cli.arguments import file_path
from visavis.config_gen import Config, Detector
from visavis.daemon import DEVICE_CONFIG, ConfigRefused, ask_daemon
from visavis.doctor import NO_INT8_ENGINE, named
from visavis.engines.at_hand import has_int8_engine
from visavis.gpu_losses import may_use_gpu
from visavis.models.configured import check_int8, check_model
from visavis.service_users import unreadable
from visavis.settings import SYSTEM_CACHE, default_cache_dir
from visavis.terminal import complain
from visavis.worker_unit import CLOSED, OPEN, REMEDY, UNIT, WORKER, closed, filled, lacks_network

EXAMPLE = "  visavis check /etc/visavis/config.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis check` takes."""
    parser.add_argument(
        "file", type=file_path, help="the configuration (TOML); files in conf.d/ beside it are read too"
    )


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the configuration is good, 2 when it is not."""
    # Read once: a pipe gives nothing at a second time, and a file may have changed.
    answer = ask_daemon("-config", str(args.file), "-check", "-effective", stdout=subprocess.PIPE)
    if answer.returncode == 0:
        for words in warnings(msgspec.json.decode(answer.stdout, type=Config), args.file):
            complain(f"warning, {args.file}: {words}")
        print("ok")
    return answer.returncode


def warnings(settings: Config, file: Path) -> Iterator[str]:
    """What may go wrong with a good configuration: no model for workers of this user, no way to a broker or server.

    Raises:
        WrongSize: it is not good, and the daemon, which knows no models, has taken it.
    """
    of_device = UNIT.exists() and file.resolve() == DEVICE_CONFIG
    cache_dir = SYSTEM_CACHE if of_device else None
    try:
        check_model(settings.detector, cache_dir)
        if settings.detector.precision == "int8":
            check_engine(settings.detector, cache_dir, file)
    except ConfigRefused as error:
        yield _missed(error, of_device=of_device)
    yield from open_doors(settings)
    yield from (f"{lost.sentence}: {lost.remedy}" for lost in denied(settings, file))
    if of_device and settings.detector.backend == "kserve" and lacks_network():
        yield f"detector.backend: the service {WORKER} has no network to reach the server by: {REMEDY}"
    if of_device and os.geteuid() == 0:
        yield from unreadable(settings, file)


def check_engine(detector: Detector, cache_dir: Path | None, file: Path) -> None:
    """Look whether workers run in int8: without an engine those of TensorRT never do, for it needs pictures.

    Raises:
        ConfigRefused: they do not.
    """
    model, _ = named(detector.model, cache_dir)
    if may_use_gpu(detector.backend) and has_int8_engine(model, detector.input, cache_dir or default_cache_dir()):
        return
    if detector.backend == "auto":
        check_int8(detector, cache_dir)
    if detector.backend == "tensorrt":
        raise ConfigRefused(
            f"detector.precision: {NO_INT8_ENGINE.format(model)}",
            f"`visavis engine build --config {file} --from-camera ID`, or with --pictures FOLDER",
        )


def _missed(error: ConfigRefused, *, of_device: bool) -> str:
    if not of_device:
        return f"{error}; workers of another user may have it"
    if closed(SYSTEM_CACHE):
        return f"detector.model: {CLOSED.format(SYSTEM_CACHE)}: {OPEN}"
    return filled(str(error), SYSTEM_CACHE)


def open_doors(settings: Config) -> Iterator[str]:
    """Settings by which others reach a page without a login; one that itself listens beyond this machine is refused."""
    web = settings.web
    for setting in ("hosts", "proxies"):
        if getattr(web, setting) and not settings.auth.enabled:
            yield f"web.{setting}: who reaches {web.listen} through a balancer needs no login: add a section [auth]"

# SPDX-License-Identifier: Apache-2.0
"""Find faces in pictures that clients send: from the page /try, or over HTTP (docs/how-to/gateway.md).

It is `visavis run` without a camera and a broker; with --config it is the same as `visavis run --config`. --https
encrypts, with a certificate that is made on this machine. --lan lets other machines in, with encryption and logins: to
become the first administrator, type the code that is shown here on the page /claim. Ctrl-C ends everything with exit
code 0.
Environment: VISAVIS_HTTP_PORT (8080), without --config alone: with it the port is that of web.listen.
"""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from msgspec.structs import replace

from visavis.appliance import Appliance, RunSettings
from visavis.cli.arguments import file_path
from visavis.daemon import effective_config
from visavis.signals import stop_on_signals

EXAMPLE = "  visavis serve\n  visavis serve --https\n  visavis serve --lan\n  visavis serve --lan --config config.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis serve` takes."""
    parser.add_argument(
        "--config", type=file_path, metavar="FILE", help="configuration (default: no camera, no broker)"
    )
    parser.add_argument("--backend", help="use this instead of detector.backend, e.g. onnxruntime")
    parser.add_argument("--https", action="store_true", help="encrypt, with a certificate made on this machine")
    parser.add_argument("--lan", action="store_true", help="let other machines in, with encryption and logins")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM: exit 0; 1 when a part could not be started; 2 for a bad setting."""
    settings = RunSettings.from_environment(args.config, args.backend)
    with stop_on_signals() as stop, suppress(KeyboardInterrupt):  # whoever reads the settings was stopped too
        settings = replace(settings, cameras=False, overrides=overrides(args, settings))
        Appliance(settings).serve(stop)
    return 0


def overrides(args: argparse.Namespace, settings: RunSettings) -> tuple[tuple[str, str], ...]:
    """The settings that the options stand for, as environment variables."""
    wanted = [("VISAVIS_WEB__HTTPS", "true")] if args.https or args.lan else []
    if args.lan:
        wanted += [("VISAVIS_WEB__LISTEN", f"0.0.0.0:{port(settings)}"), ("VISAVIS_AUTH__ENABLED", "true")]
    return tuple(wanted)


def port(settings: RunSettings) -> str:
    """That of the configuration where there is one, else of VISAVIS_HTTP_PORT."""
    if settings.config is None:
        return str(settings.http_port)
    return effective_config(settings.config, os.environ).web.listen.rpartition(":")[2]

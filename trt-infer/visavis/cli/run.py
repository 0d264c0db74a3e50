# SPDX-License-Identifier: Apache-2.0
"""Start everything in the foreground: broker (when none is configured), daemon and workers.

Without --config it shows the built-in demo, or the camera named by CAMERA. Ctrl-C ends everything with exit code 0.
Environment: CAMERA (/dev/video0, rtsp://..., a video file) and VISAVIS_HTTP_PORT (8080), which count without --config
alone, and VISAVIS_MQTT_PORT (1883), the port of a broker that is not configured.
"""

from __future__ import annotations

import argparse
from contextlib import suppress

from visavis.appliance import Appliance, RunSettings
from visavis.cli.arguments import file_path
from visavis.parent import die_with_parent
from visavis.signals import stop_on_signals

EXAMPLE = "  visavis run\n  CAMERA=/dev/video0 visavis run\n  visavis run --config /etc/visavis/config.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis run` takes."""
    parser.add_argument(
        "--config", type=file_path, metavar="FILE", help="configuration (default: the demo, or the camera in CAMERA)"
    )
    parser.add_argument("--backend", help="use this instead of detector.backend, e.g. onnxruntime")
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help="end when process PID, our parent, ends")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM: exit 0; 1 when a part could not be started; 2 for a bad setting."""
    if args.die_with_parent is not None:
        die_with_parent(args.die_with_parent)
    settings = RunSettings.from_environment(args.config, args.backend)
    with stop_on_signals() as stop, suppress(KeyboardInterrupt):  # whoever reads the settings was stopped too
        Appliance(settings).serve(stop)
    return 0

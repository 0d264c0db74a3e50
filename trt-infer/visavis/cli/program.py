# SPDX-License-Identifier: Apache-2.0
"""The program: one table of commands, each in a module of its own that is imported only when it is asked for.

A command module offers `EXAMPLE` (text for its help), `add_arguments(parser)` and `run(args) -> exit code`.
Exit codes: 0 ok, 1 failed, 2 wrong use, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visavis import ENDED_BY_CTRL_C, __version__
from visavis.errors import INSTALL_AGAIN, VisavisError
from visavis.handed_back import handed_back
from visavis.terminal import complain, drop_unwritten, ready_streams

# name -> what it does, in one line. The module is visavis.cli.<name>.
COMMANDS = {
    "run": "start broker, daemon and workers in the foreground",
    "serve": "find faces in pictures that clients send, without a camera",
    "check": "check a configuration file",
    "doctor": "check this machine and say what to mend",
    "bench": "measure what this machine gives visavis",
    "detect": "find faces in pictures and videos",
    "auth": "manage who may see the page and use the API",
    "watch": "follow devices live in the terminal",
    "fleet": "report once on all devices of a broker",
    "model": "list, download, measure and prepare models",
    "engine": "build and list TensorRT engines",
    "workers": "show or change the number of workers while visavis runs",
    "update": "update a flashed device, and make the keys and bundles for that",
    "reset": "reset a flashed device to its factory state",
    "worker": "run one inference worker (`visavis run` and systemd start it)",
}

# Which kinds of memory a crash writes out, see core(5).
DUMP_FILTER = Path("/proc/self/coredump_filter")

EPILOG = """examples:
  visavis run                                  the built-in demo
  visavis run --config /etc/visavis/config.toml
  visavis detect holiday.jpg --draw out/
  visavis COMMAND --help                       more about one command
"""


def anchor_folders() -> None:
    """Folders that the environment names are seen from here, also by programs of ours that run in another one."""
    for name in ("VISAVIS_CACHE_DIR", "VISAVIS_STATE_DIR"):
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).absolute())


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    ready_streams()
    leave_no_core()
    return in_sentences(lambda: obey(sys.argv[1:] if arguments is None else arguments))


def in_sentences(work: Callable[[], int], program: str = "visavis") -> int:
    """The exit code of the work, or of what ends it; that is said in a sentence, after the name of the program."""
    try:
        code = work()
        sys.stdout.flush()  # here a full disk still has a sentence
    except VisavisError as error:
        complain(str(error), program)
        code = error.exit_code
    except BrokenPipeError:
        code = 1  # the reader of our output, `head` for one, has enough
    except OSError as error:
        complain(of_the_system(error), program)
        code = 1
    except ImportError as error:
        complain(f"{error}: {INSTALL_AGAIN}", program)
        code = 1
    except KeyboardInterrupt:
        code = ENDED_BY_CTRL_C
    finally:
        drop_unwritten(sys.stdout, sys.stderr)
    return code


def leave_no_core() -> None:
    """Keep the memory of a crash, which holds pictures, off the disk, for this process and those that it starts.

    The limit is for files; a program that the kernel pipes crashes to, as Ubuntu's apport, is not held back by it. So
    no kind of memory is written out either. From outside both can be set otherwise: `prlimit`, /proc/PID.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    try:
        with DUMP_FILTER.open("r+b", buffering=0) as file:
            file.write(b"0")
    except FileNotFoundError:
        pass  # this kernel writes out no crashes
    except OSError as error:
        complain(f"a crash may leave pictures on the disk, {of_the_system(error)}")


def obey(words: list[str]) -> int:
    """Understand the words and do what they say; loading a command takes a moment, and is part of it.

    Raises:
        VisavisError, OSError, ImportError, KeyboardInterrupt: for `in_sentences`.
    """
    anchor_folders()
    parser = parser_for(words)
    try:
        args = parser.parse_args(words)
    except SystemExit as end:  # argparse has shown help, or what is wrong
        return int(end.code or 0)
    if args.command is None:
        parser.print_help()
        return 2
    args.words = words  # for a command that passes them on
    with handed_back(cache):
        return int(importlib.import_module(f"visavis.cli.{args.command}").run(args))


def cache() -> Path:
    """Where models and engines are kept."""
    from visavis.settings import default_cache_dir  # noqa: PLC0415 (only root needs it here)

    return default_cache_dir()


def of_the_system(error: OSError) -> str:
    """What the system refuses, and to what: `/data/models: Permission denied`."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


class AnyOrderParser(argparse.ArgumentParser):
    """Takes options before, between and after the files; argparse alone takes files in one place only."""

    _inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's; a parser with subcommands stays as it is, its subcommands' parsers are like this one.

        With a plain `--`, after which everything is a file, argparse's own order holds: older versions mix it up.
        """
        if self._inside or self._subparsers is not None or "--" in (args or []):
            return super().parse_known_args(args, namespace)
        self._inside = True  # parse_known_intermixed_args calls us again
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False


def top_parser() -> argparse.ArgumentParser:
    """The parser without any command's own arguments: enough for `--help` and `--version`."""
    parser = argparse.ArgumentParser(
        prog="visavis",
        description="Face detection as an appliance: camera in, MQTT and a web view out, nothing leaves the building.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"visavis {__version__}")
    return parser


def parser_for(words: list[str]) -> argparse.ArgumentParser:
    """The whole parser, with the arguments of only the command that `words` names: the others stay unimported."""
    parser = top_parser()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=AnyOrderParser)
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        if name == wanted:
            add_command(commands, name, summary)
        else:
            commands.add_parser(name, help=summary, add_help=False)
    return parser


def add_command(commands: argparse._SubParsersAction[AnyOrderParser], name: str, summary: str) -> None:
    """Import the module of one command and let it declare its arguments."""
    module = importlib.import_module(f"visavis.cli.{name}")
    parser = commands.add_parser(
        name,
        help=summary,
        description=(module.__doc__ or "").strip(),
        epilog=f"examples:\n{module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)

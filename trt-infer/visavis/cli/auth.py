# SPDX-License-Identifier: Apache-2.0
"""Manage who may see the page and which programs may use the API: logins for people, tokens for programs.

A running daemon applies each change at once.
"""

from __future__ import annotations

import argparse
import getpass
import os
import subprocess
import sys

import msgspec

from visavis.cli.arguments import add_action, file_path
from visavis.daemon import DEVICE_CONFIG, ask_daemon, device_config
from visavis.errors import VisavisError
from visavis.terminal import ascii_json

EXAMPLES = {
    "add": """\
  visavis auth add anna --role admin                       a person; the password is asked for
  visavis auth add grafana --role viewer --token           a program; the token is shown once
  visavis auth add neighbour --role viewer --camera door   sees one camera""",
    "password": "  visavis auth password anna                               a new password; her sessions end",
    "list": "  visavis auth list",
    "revoke": "  visavis auth revoke grafana",
}
EXAMPLE = "\n".join(EXAMPLES.values())
ROLES = ("viewer", "operator", "admin")
ROLE_HELP = "viewer sees pictures and results; operator may also send pictures; admin may do everything"
UNCHANGED = "run the command again; nothing was changed"


class Account(msgspec.Struct, frozen=True):
    """One account as the daemon's program lists it; `cameras` are ids, "*" is every one."""

    name: str
    role: str
    kind: str
    cameras: tuple[str, ...]
    created_at: str


class Credentials(msgspec.Struct, frozen=True):
    """All accounts, and the file that holds them."""

    file: str
    accounts: tuple[Account, ...]


class NoPassword(VisavisError):
    """A person gave no password, none that can be read, or two that are not the same."""

    kind = "password"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis auth` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = add_action(actions, "add", "add a login for a person or a token for a program", EXAMPLES["add"])
    add.add_argument("name", help="name of the person or program, of a-z 0-9 . _ @ -")
    _add_rights(add)
    password = add_action(
        actions, "password", "give a person a new password and end their sessions", EXAMPLES["password"]
    )
    password.add_argument("name", help="name of the person")
    listing = add_action(actions, "list", "list people and programs with their rights", EXAMPLES["list"])
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    revoke = add_action(actions, "revoke", "remove a person or a program; what they have open ends", EXAMPLES["revoke"])
    revoke.add_argument("name", help="name of the person or program")
    for action in (add, password, listing, revoke):
        action.add_argument(
            "--config", type=file_path, metavar="FILE", help=f"configuration (default: {DEVICE_CONFIG})"
        )


def _add_rights(add: argparse.ArgumentParser) -> None:
    """What the new one may do, and how they prove who they are."""
    add.add_argument("--role", required=True, choices=ROLES, help=ROLE_HELP)
    cameras = add.add_mutually_exclusive_group()
    cameras.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="may see only this camera; repeat for more cameras"
    )
    cameras.add_argument(
        "--no-camera", action="store_true", help="may see no camera, for programs that only send pictures"
    )
    kind = add.add_mutually_exclusive_group()
    kind.add_argument(
        "--password", action="store_true", help="ask for a password, or read it from standard input (default)"
    )
    kind.add_argument("--token", action="store_true", help="make a token and print it; it cannot be shown again")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when it is done, 1 when it cannot be, 2 for wrong use or a bad configuration."""
    return {"add": add, "password": change_password, "list": show, "revoke": revoke}[args.action](args)


def add(args: argparse.Namespace) -> int:
    """Make a password's account, or a token and print it."""
    words = ["-role", args.role] + [word for camera in args.camera for word in ("-camera", camera)]
    if args.no_camera:
        words.append("-no-camera")
    if args.token:
        return ask(args, *words, "--", args.name).returncode
    return ask(args, *words, "-password", "--", args.name, stdin=password_of(args.name) + b"\n").returncode


def change_password(args: argparse.Namespace) -> int:
    """Ask for a new password, or take a line of standard input."""
    return ask(args, "--", args.name, stdin=password_of(args.name) + b"\n").returncode


def password_of(name: str) -> bytes:
    """The password, from a person twice or from a pipe once; never from the command line, which others can see.

    Raises:
        NoPassword: none was given, its bytes are no letters here, or the two are not the same.
    """
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    try:
        first, second = getpass.getpass(f"password for {name}: "), getpass.getpass("once more: ")
    except EOFError:  # Ctrl-D
        print(file=sys.stderr)
        raise NoPassword("no password was given", UNCHANGED) from None
    except UnicodeDecodeError:
        raise NoPassword("the password is not valid UTF-8", UNCHANGED) from None
    if first != second:
        raise NoPassword("the two passwords differ", UNCHANGED)
    return os.fsencode(first)


def show(args: argparse.Namespace) -> int:
    """Print a table, or what the daemon's program says as it is."""
    answer = ask(args, capture=True)
    if answer.returncode == 0:
        held = msgspec.json.decode(answer.stdout, type=Credentials)
        print(ascii_json(answer.stdout.decode().rstrip()) if args.json else table(held))
    return answer.returncode


def table(held: Credentials) -> str:
    """One line for each account, below a line that says where they are."""
    lines = [f"{'name':<20} {'role':<9} {'kind':<9} {'since':<11} cameras    in {held.file}"]
    for one in held.accounts:
        cameras = "all" if "*" in one.cameras else ", ".join(one.cameras) or "none"
        lines.append(f"{one.name:<20} {one.role:<9} {one.kind:<9} {one.created_at[:10]:<11} {cameras}")
    return "\n".join(lines)


def revoke(args: argparse.Namespace) -> int:
    """Remove one account."""
    return ask(args, "--", args.name).returncode


def ask(
    args: argparse.Namespace, *words: str, stdin: bytes | None = None, capture: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Let the daemon's program do it; what it says goes to the terminal unless it is captured."""
    config = args.config or device_config()
    named = ["-config", str(config)] if config else []
    return ask_daemon("auth", args.action, *named, *words, input=stdin, stdout=subprocess.PIPE if capture else None)

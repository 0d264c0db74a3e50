# SPDX-License-Identifier: Apache-2.0
"""What commands that read from a broker take, and the broker that this makes."""

from __future__ import annotations

import argparse

from visavis.cli.arguments import file_path
from visavis.client import Broker, broker_at
from visavis.client.connection import CARRIED, Uncarried, Useless
from visavis.errors import VisavisError
from visavis.topics_gen import topic_level


class WrongBroker(VisavisError):
    """What --host holds is no address of a broker, or an option has no use there."""

    kind = "setting"
    exit_code = 2


def add_broker_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the broker is and who we are there."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="the broker's name or address, or mqtt(s)://host:port (default 127.0.0.1)"
    )
    parser.add_argument("--port", type=port, help="the broker's port (default 1883, or 8883 with mqtts://)")
    parser.add_argument("--user", default="", help="user name at the broker")
    parser.add_argument("--password-file", type=file_path, metavar="FILE", help="file with the password of --user")
    parser.add_argument("--ca", type=file_path, metavar="FILE", help="CA certificates to check the broker's with")
    parser.add_argument("--cert", type=file_path, metavar="FILE", help="client certificate, if the broker asks for one")
    parser.add_argument("--key", type=file_path, metavar="FILE", help="private key of --cert")
    parser.add_argument("--prefix", type=level, default="visavis", help="first part of the topics (default visavis)")
    parser.add_argument("--device", type=level, default="+", help="only the device with this id (default: all)")


def broker_of(args: argparse.Namespace) -> Broker:
    """Where the broker is.

    Raises:
        WrongBroker: --host is no address, MQTT cannot carry --user, or an option has no use without another.
    """
    try:
        return broker_at(
            args.host,
            args.port,
            user=args.user,
            password_file=args.password_file,
            ca=args.ca,
            cert=args.cert,
            key=args.key,
        )
    except Useless as error:
        raise _useless(error) from error
    except Uncarried as error:
        raise WrongBroker(f"--{error.name} is nothing that MQTT can carry", CARRIED) from error
    except ValueError as error:
        remedy = "write a host, or mqtt://host:port; see also --user"
        raise WrongBroker(f"--host {args.host} is not an address", remedy) from error


def _useless(error: Useless) -> WrongBroker:
    """The same, said of options."""
    given = f"--{error.name.replace('_', '-')}"
    if error.needs == "tls":
        return WrongBroker(
            f"{given} has no use without an encrypted connection", "let --host begin with mqtts:// or wss://"
        )
    return WrongBroker(f"{given} has no use without --{error.needs}", "give both or neither")


def port(text: str) -> int:
    """Read a port."""
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 65535")
    return int(text)


def level(text: str) -> str:
    """Read a part of a topic."""
    try:
        return topic_level(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

# SPDX-License-Identifier: Apache-2.0
"""`python -m visavis.update.boot get-primary`: what RAUC runs, without the rest of the command line.

RAUC's callers give up after 25 s, and it asks several times for one answer, on a slow board that is just starting.
"""

from __future__ import annotations

import sys

from visavis.errors import VisavisError
from visavis.update import network
from visavis.update.boot import answer, loader_of
from visavis.update.system import read_system


def main() -> int:
    """Answer one question; exit 1 with a sentence for the journal when that cannot be done."""
    try:
        said = answer(loader_of(read_system()), sys.argv[1:])
    except VisavisError as error:
        print(error, file=sys.stderr)
        return 1
    if said:
        print(said)
    if sys.argv[1] == "set-primary":
        note_network()
    return 0


def note_network() -> None:
    """Also where it cannot be noted does a device get back to its other system."""
    try:
        network.note()
    except OSError as error:
        print(f"warning: whether this device has a network is not noted for the next system, {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

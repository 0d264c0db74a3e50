# SPDX-License-Identifier: Apache-2.0
"""`python -m visavis.update.boot get-primary`: what RAUC runs, without the rest of the command line.

RAUC's callers give up after 25 s, and it asks several times for one answer, on a slow board that is just starting.
"""

from __future__ import annotations

import sys

from visavis.errors import VisavisError
from visavis.update import chosen
from visavis.update.boot import BootLoader, answer, loader_of
from visavis.update.system import read_system


def main() -> int:
    """Answer one question; exit 1 with a sentence for the journal when that cannot be done."""
    try:
        loader = loader_of(read_system())
        said = answer(loader, sys.argv[1:])
        remember(loader, sys.argv[1:])
    except VisavisError as error:
        print(error, file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0


def remember(loader: BootLoader, words: list[str]) -> None:
    """Leave a note for the next system's gate, or take it back; a device goes back to its other system without one.

    Raises:
        UpdateError: the boot loader cannot be asked.
    """
    try:
        match words:
            case ["set-primary", slot] if loader.on_trial(slot):
                chosen.note(slot)
            case ["set-primary", _]:  # a proved one: that it cannot read the boot partition is no reason to leave it
                chosen.forget()
            case ["set-state", slot, "good"] if chosen.is_chosen(slot):
                chosen.forget()
    except OSError as error:
        print(f"warning: the next system's gate does not learn what was chosen, {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

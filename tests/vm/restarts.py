# SPDX-License-Identifier: Apache-2.0
"""Machines with UEFI firmware that restart: each restart is a new QEMU.

An emulated processor keeps over a restart what it has translated. Where Linux ran code in the page in which the
firmware's stack lies then, each write to that stack is so slow that the firmware's timer leaves it no time.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

POWER_DOWN = "reboot: Power down"


class Restarting:
    """As a process that runs until the machine is switched off, from inside or by `kill`.

    Args:
        command: QEMU with everything but where its console is.
        console: the file of the console, emptied; what the machine says after a restart follows there.

    Raises:
        OSError: QEMU cannot be started.
    """

    def __init__(self, command: list[str], console: Path) -> None:
        self._command = [*command, "-no-reboot", "-chardev", f"file,id=console,path={console},append=on"]
        self._command += ["-serial", "chardev:console"]
        self._console = console
        console.write_text("")
        self._plug, self._pulled = threading.Lock(), False
        self._qemu = subprocess.Popen(self._command)
        self._thread = threading.Thread(target=self._run, name="restarts", daemon=True)
        self._thread.start()

    def poll(self) -> int | None:
        """None while it is switched on."""
        return None if self._thread.is_alive() else self._qemu.returncode

    def kill(self) -> None:
        """Pull the plug."""
        with self._plug:
            self._pulled = True
            self._qemu.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Until it is switched off.

        Raises:
            subprocess.TimeoutExpired: it was not.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise subprocess.TimeoutExpired(self._command, timeout or 0)
        return self._qemu.returncode

    def _run(self) -> None:
        while self._qemu.wait() == 0 and POWER_DOWN not in self._console.read_text(errors="replace"):
            with self._plug:
                if self._pulled:
                    return
                self._qemu = subprocess.Popen(self._command)

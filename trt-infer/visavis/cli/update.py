# SPDX-License-Identifier: Apache-2.0
"""Update a device that was flashed with an image of visavis, and make the keys and bundles for that.

A device has two slots, each with a whole system. An update is written to the slot that does not run, and is on trial
after the restart: it is kept once it is healthy, and if three boots do not get there, the device goes back by itself.
Where visavis was installed as a package, update with apt instead.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from visavis.cli.arguments import add_action, amount, file_path
from visavis.errors import UpdateError, VisavisError
from visavis.figures import page_address
from visavis.signals import stopped_as_by_ctrl_c
from visavis.terminal import complain
from visavis.update import gate, rauc
from visavis.update.boards import BOARDS
from visavis.update.boot import loader_of, must_be_proved
from visavis.update.bundle import Contents, make_bundle, must_be_there, must_say
from visavis.update.keys import CA, CA_KEY, CERTIFICATE, KEY, make_keys
from visavis.update.system import read_system, running_slot, system_in

EXAMPLES = {
    "keys": "  visavis update keys ~/visavis-keys                       once, before the first image is made",
    "bundle": "  visavis update bundle root.img --board generic-amd64 --keys ~/visavis-keys --out 1.4.0.raucb",
    "install": "  visavis update install 1.4.0.raucb --restart             on the device",
    "status": "  visavis update status",
    "rollback": "  visavis update rollback --restart                        back to the system from before",
    "good": "  visavis update good                                      keep this one, even if it is not healthy",
}
GATE_EXAMPLE = "  visavis update gate --wait 600"
EXAMPLE = "\n".join(EXAMPLES.values())
HEALTHY_WITHIN_S = 300.0
# Of an image: events, pictures and all else that a device keeps.
DATA = Path("/data")
GOES_ON = (
    "the device goes on writing, and tries the new system at its next restart: `visavis update status` shows whether it"
    " is the next one, and `rauc status mark-active booted` then keeps the one that runs"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis update` takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_makers(actions)
    install = _action(actions, "install", "write a bundle to the other slot, to be tried at the next restart")
    install.add_argument(
        "file", type=file_path, metavar="FILE.raucb", help="the bundle; below /data it is removed afterwards"
    )
    install.add_argument("--keep", action="store_true", help="leave the bundle where it is")
    status = _action(actions, "status", "show both slots: version, which one runs, which one is booted next")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    _action(actions, "good", "keep the running system without waiting for its health")
    rollback = _action(actions, "rollback", "boot the other slot next, on trial unless this one is on trial itself")
    for action in (install, rollback):
        action.add_argument("--restart", action="store_true", help="restart the device afterwards")
    gate = "keep the running system if it becomes healthy, else restart (systemd starts this)"
    through = add_action(actions, "gate", gate, GATE_EXAMPLE)
    through.add_argument("--url", help="address of the device's page (default: from the configuration)")
    through.add_argument(
        "--wait",
        type=amount,
        default=HEALTHY_WITHIN_S,
        metavar="S",
        help="how long to wait for its health, seconds (default: %(default)g)",
    )


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    return add_action(actions, name, summary, EXAMPLES[name])


def _add_makers(actions: Any) -> None:
    make = _action(actions, "keys", "make the keys that sign your updates")
    make.add_argument(
        "folder",
        type=file_path,
        metavar="DIR",
        help=f"folder for the keys: none is overwritten, and {CA_KEY} and {CA} alone get another signing pair",
    )
    make.add_argument("--name", default="visavis", help="owner's name in the certificates (default: %(default)s)")
    bundle = _action(actions, "bundle", "make a signed bundle of a root image")
    bundle.add_argument("root", type=file_path, metavar="ROOT.img", help="image of the root file system")
    bundle.add_argument(
        "--boot",
        type=file_path,
        metavar="BOOT.img",
        help="image of the slot's boot partition (Raspberry Pi and Jetson)",
    )
    bundle.add_argument("--board", required=True, choices=BOARDS, help="the only kind of board that takes it")
    bundle.add_argument(
        "--version",
        help="what the image must be, such as 1.4.0; devices refuse an older one than they run (default: as it is)",
    )
    bundle.add_argument("--keys", type=file_path, required=True, metavar="DIR", help="folder of `visavis update keys`")
    bundle.add_argument("--out", type=file_path, required=True, metavar="FILE.raucb", help="where to write the bundle")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when it is done, 1 when it cannot be."""
    return ACTIONS[args.action](args)


def keys(args: argparse.Namespace) -> int:
    """Make the keys and say what each is for."""
    if CA not in make_keys(args.folder, args.name):
        print(
            f"{args.folder / KEY}      signs bundles from now on, with {CERTIFICATE}: devices that trust {CA} take them"
        )
        return 0
    print(f"{args.folder / CA}           goes into every image: devices trust what it has signed")
    print(f"{args.folder / KEY}      signs bundles, with {CERTIFICATE}: keep it where you build, and nowhere else")
    print(f"{args.folder / CA_KEY}           signs new signing keys: keep it off line. Who has it owns your devices,")
    print("and without it a lost signing key means to flash every device again")
    return 0


def bundle(args: argparse.Namespace) -> int:
    """Make a bundle; its build date is $SOURCE_DATE_EPOCH or now."""
    images, built = {"rootfs": args.root, **({"boot": args.boot} if args.boot else {})}, built_at()
    must_be_there(args.root)
    image = system_in(args.root)
    version = args.version or image.version
    must_say(args.board, version, args.root, image)
    make_bundle(Contents(args.board, version, built, images), args.keys, args.out)
    print(args.out)
    return 0


def built_at() -> datetime:
    """$SOURCE_DATE_EPOCH, or now.

    Raises:
        UpdateError: the variable holds something else than seconds.
    """
    built_s = os.environ.get("SOURCE_DATE_EPOCH")
    if not built_s:
        return datetime.now(timezone.utc)
    try:
        return datetime.fromtimestamp(int(built_s), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        remedy = "set it to seconds since 1970, or unset it"
        raise UpdateError(f"SOURCE_DATE_EPOCH is {built_s!r}, which is not a time", remedy) from error


def install(args: argparse.Namespace) -> int:
    """Check, write, and restart if told to.

    Raises:
        UpdateError: this system is on trial, the bundle does not fit, or RAUC refuses it.
        KeyboardInterrupt: Ctrl-C, SIGTERM or a closed terminal; RAUC's service, which writes, does not hear of it.
    """
    system = read_system()
    must_be_proved(loader_of(system), running_slot())
    found = rauc.info(args.file)
    rauc.must_fit(found, system, args.file)
    print(f"installing {found.version}, built {found.build}, beside {system.version}", flush=True)
    try:
        with stopped_as_by_ctrl_c():
            rauc.install(args.file)
    except KeyboardInterrupt:
        complain(GOES_ON)
        raise
    if not args.keep:
        _remove_from_data(args.file)
    _restart_or_say(args.restart, "written; it runs after a restart, and has to prove itself then")
    return 0


def _remove_from_data(file: Path) -> None:
    """Bundles are large, and what a device keeps of events is there too; elsewhere a bundle is its owner's affair."""
    if not file.resolve().is_relative_to(DATA):
        return
    try:
        file.unlink()
    except OSError as error:
        complain(f"warning: {file} stays, {error.strerror}: remove it, or it takes room from what the device keeps")


def rollback(args: argparse.Namespace) -> int:
    """Boot the other slot next.

    Raises:
        UpdateError: there is nothing whole in it, or what failed its trial.
    """
    other = rauc.status().other
    if not other.good:
        raise UpdateError(f"slot {other.bootname} holds no system that could be booted", "install a bundle instead")
    rauc.mark("active", other.name)
    _restart_or_say(args.restart, f"slot {other.bootname} runs after a restart")
    return 0


def _restart_or_say(restart: bool, sentence: str) -> None:
    if restart:
        gate.restart_device()
    else:
        print(f"{sentence}: systemctl reboot")


def status(args: argparse.Namespace) -> int:
    """Print a table, or JSON."""
    now, system = rauc.status(), read_system()
    trial = loader_of(system).on_trial(now.running)
    if args.json:
        print(json.dumps({**asdict(now), "compatible": system.compatible, "version": system.version, "trial": trial}))
        return 0
    print(f"{system.compatible} {system.version}{', has to prove itself yet' if trial else ''}")
    for slot in now.slots:
        marks = ["runs"] * (slot.bootname == now.running) + ["next"] * (slot.bootname == now.next)
        held = f"{slot.version or '-':<12} {slot.installed_at or '-':<22}"
        print(f"  {slot.bootname}  {held} {'good' if slot.good else 'bad':<5} {', '.join(marks)}".rstrip())
    return 0


def good(_: argparse.Namespace) -> int:
    """Keep the running system."""
    rauc.mark("good")
    return 0


def through_gate(args: argparse.Namespace) -> int:
    """Keep the running system if it has proved itself or is healthy and can be kept, else restart."""
    url, slot, loader = args.url or appliance_url(), running_slot(), loader_of(read_system())
    if gate.on_trial(loader, slot):
        with gate.or_restart():
            gate.must_have_data()
            gate.wait_until_healthy(url, args.wait)
            rauc.mark("good")
        print(f"slot {slot} has proved itself: it is kept")
    else:
        rauc.mark("good")
        print(f"slot {slot} has proved itself before")
        if loader.comes_back(slot):
            print(
                "the other, newer slot had used up its boots, as three power cuts do: the next start tries it once more"
            )
            with gate.or_restart():  # the settings may be too new for this one
                gate.wait_until_healthy(url, args.wait)
    return 0


def appliance_url() -> str:
    """Where the page of this device is, by its configuration; the default place if that cannot be read.

    The gate's sandbox has none of the daemon's secrets, as a worker has none.
    """
    from visavis.daemon import device_config, effective_config  # noqa: PLC0415 (the other actions do without)

    try:
        web = effective_config(device_config(), os.environ, for_worker=True).web
    except VisavisError as error:  # then it is not healthy, and the gate says so
        print(error, file=sys.stderr)
        return "http://127.0.0.1:8080"
    return page_address(web).rstrip("/")


ACTIONS = {
    "keys": keys,
    "bundle": bundle,
    "install": install,
    "rollback": rollback,
    "status": status,
    "good": good,
    "gate": through_gate,
}

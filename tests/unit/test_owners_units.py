# SPDX-License-Identifier: Apache-2.0
"""What its owner has disabled, or whoever makes a system has forbidden, no script of our packages starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.own_system import BROKER, asked, noting, program, ran

FAILED = """\
echo "systemctl $*" >>calls
case "$*" in
is-active*) echo failed; exit 3 ;;
is-enabled*{disabled}*) exit 1 ;;
esac"""
UPGRADES = {
    "visavis-capture": ("visavis/postinst", "configure", "0.1.0"),
    "mosquitto": ("visavis-broker/postinst", "configure", "0.1.0"),
    "mosquitto when it goes": ("visavis-broker/postrm", "purge"),
}
UNITS = {"visavis-capture": "visavis-capture.service"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A system where every service has failed."""
    shipped = noting(tmp_path) / "usr/share/visavis-broker/visavis.acl"
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes((BROKER / "visavis.acl").read_bytes())
    return tmp_path


def started(place: Path, of: str, disabled: str, policy: int) -> list[str]:
    """What an upgrade or a purge has started of services that had failed."""
    program(place / "bin/systemctl", FAILED.format(disabled=disabled))
    program(place / "sbin/policy-rc.d", f"exit {policy}")
    # Where mosquitto does not start, the package says so; whether that was tried is the question here.
    tried = of == "mosquitto" and disabled == "none" and policy != 101
    return [call for call in asked(ran(place, *UPGRADES[of], code=int(tried))) if "systemctl start " in call]


@pytest.mark.parametrize("of", UPGRADES)
@pytest.mark.parametrize(
    ("disabled", "policy", "starts"), [("none", 0, True), ("none", 104, True), ("none", 101, False), (".", 0, False)]
)
def test_what_has_failed_is_started_only_where_it_is_wanted(
    of: str, disabled: str, policy: int, starts: bool, place: Path
) -> None:
    unit = UNITS.get(of, "mosquitto.service")
    assert set(started(place, of, disabled, policy)) == ({f"systemctl start {unit}"} if starts else set())


def test_a_daemon_whose_target_is_disabled_stays_failed(place: Path) -> None:
    assert started(place, "visavis-capture", "visavis.target", 0) == []


def test_a_broker_that_ran_though_it_is_disabled_does_so_again_after_settings_that_it_refuses(place: Path) -> None:
    """Its owner has started it by hand, and an upgrade is no reason to end it."""
    ours = place / "etc/mosquitto/conf.d/visavis.conf"
    ours.write_text("# of 0.1\n")
    text = """\
echo "systemctl $*" >>calls
case "$*" in
try-restart*) touch down ;;
start*) rm -f down ;;
is-active*) [ ! -e down ] && echo active || { echo failed; exit 3; } ;;
is-enabled*) exit 1 ;;
esac"""
    program(place / "bin/systemctl", text)
    ran(place, "visavis-broker/preinst", "upgrade", "0.1.0", "0.2.0")
    called = asked(ran(place, "visavis-broker/postinst", "configure", "0.1.0", code=1))
    assert called[-1] == "systemctl start mosquitto.service"
    assert "runs as before" in (place / "errors").read_text()

# SPDX-License-Identifier: Apache-2.0
"""What an owner may write into visavis.toml on the boot partition, and which files become of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from visavis_device import files
from visavis_device.settings import Settings, SettingsError, read

ROOT = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfH2y2gS6dUvJ0mV9mC3xTn6yVv3tq0l2c1dYl0aB1k anna@example"
WHOLE = f"""
[device]
id = "porch"
claim = "abcd-efgh"
[wifi]
ssid = "Café am Eck"
password = " starts with a space"
country = "DE"
[mqtt]
url = "mqtts://broker.example:8883"
user = "porch"
password = 'has "quotes"'
[ssh]
keys = ["{KEY}"]
"""


def written(content: str) -> dict[str, str]:
    return {file.path: file.content for file in files.of(read(content.encode()))}


def test_every_setting_becomes_the_file_that_its_service_reads() -> None:
    found = written(WHOLE)
    assert found["etc/hostname"] == "porch\n"
    assert found["etc/visavis/conf.d/50-device.toml"] == '[device]\nid = "porch"\n'
    assert found["etc/visavis/claim-code"] == "ABCD-EFGH\n"
    assert found[f"var/lib/iwd/={'Café am Eck'.encode().hex()}.psk"] == (
        "[Security]\nPassphrase=\\sstarts with a space\n[Settings]\nAutoConnect=true\n"
    )
    assert found["etc/iwd/main.conf"] == "[General]\nCountry=DE\n"
    assert found["etc/visavis/conf.d/50-broker.toml"] == (
        '[mqtt]\nurl = "mqtts://broker.example:8883"\nuser = "porch"\npassword_file = "/etc/visavis/mqtt.password"\n'
    )
    assert found["etc/visavis/mqtt.password"] == 'has "quotes"'
    assert found["etc/ssh/authorized_keys.d/root"] == f"{KEY}\n"


@pytest.mark.parametrize("name", ["خانه\u200cما", "👨\u200d👩\u200d👧 WLAN", "ゲスト\u3000二階", "a\u00a0b"])
def test_a_network_may_be_called_what_its_router_lets_it_be_called(name: str) -> None:
    assert list(written(f'[wifi]\nssid = "{name}"\npassword = "long enough"\n')) == [
        f"var/lib/iwd/={name.encode().hex()}.psk"
    ]


def test_a_key_may_have_any_comment() -> None:
    comment = "آنا\u200cلپ‌تاپ\u3000家"
    assert written(f'[ssh]\nkeys = ["{KEY} {comment}"]')["etc/ssh/authorized_keys.d/root"] == f"{KEY} {comment}\n"


def test_a_user_at_the_broker_may_have_any_name() -> None:
    text = written('[mqtt]\nurl = "mqtt://box"\nuser = "\U0001f6aa \\u007f"\n')["etc/visavis/conf.d/50-broker.toml"]
    assert msgspec.toml.decode(text)["mqtt"]["user"] == "\U0001f6aa \x7f"


def test_what_is_secret_is_readable_by_its_service_alone() -> None:
    modes = {file.path: (file.mode, file.group) for file in files.of(read(WHOLE.encode()))}
    assert modes["etc/visavis/mqtt.password"] == modes["etc/visavis/claim-code"] == (0o640, "visavis")
    assert [mode for path, mode in modes.items() if path.startswith("var/lib/iwd")] == [(0o600, "root")]


def test_sections_may_be_left_out_and_editors_of_other_systems_are_understood() -> None:
    assert read(b"") == Settings()
    assert list(written('\ufeff[device]\r\nid = "door"\r\n')) == ["etc/hostname", "etc/visavis/conf.d/50-device.toml"]
    assert list(written('[wifi]\nssid = "open house"\n')) == ["var/lib/iwd/open house.open"]


def test_the_example_on_the_boot_partition_is_a_file_that_can_be_used() -> None:
    text = (ROOT / "firmware-image/esp/visavis.toml.example").read_text().replace("AAAA... you@example", KEY.split()[1])
    assert read(text.replace('# claim = "', 'claim = "').encode()).device.claim == "ABCD-EFGH"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[wifi]\nssid = porch", "line 2"),
        ("[wlan]\nssid = 'a'", "unknown field `wlan`"),
        ("[wifi]\nsid = 'a'", "wifi: "),
        ("[wifi]\npassword = 'long enough'", "wifi: what is missing is `ssid`"),
        ("[device]\nid = 7", "device.id: Expected `str`, got `int`"),
        ("[device]\nid = 'Front Door'", "device.id: 'Front Door' cannot be used: write 1 to 32 of a-z 0-9 and -"),
        ("[device]\nclaim = 'ABCD-EFG1'", "device.claim"),
        ("[wifi]\nssid = 'a'\npassword = 'short'", "wifi.password: cannot be used: write 8 to 63 characters"),
        ("[wifi]\nssid = 'a'\ncountry = 'Germany'", "wifi.country"),
        ("[wifi]\nssid = '012345678901234567890123456789012'", "wifi.ssid"),
        (f"[ssh]\nkeys = ['command=\"reboot\" {KEY}']", "ssh.keys[0]"),
        ("[ssh]\nkeys = ['ssh-ed25519 AAAA']", "ssh.keys[0]"),
        (f'[ssh]\nkeys = ["{KEY}\\nssh-rsa"]', "ssh.keys[0]"),
        ("[ssh]\nkeys = ['ssh-ed25519 …']", "ssh.keys[0]"),
        ("[ssh]\nkeys = ['']", "ssh.keys[0]"),
        ("[wifi]\nssid = ''", "wifi.ssid"),
        ('[wifi]\nssid = "a\\nb"', "wifi.ssid"),
        ('[wifi]\nssid = "a\\u0085b"', "wifi.ssid"),
        (f'[ssh]\nkeys = ["{KEY.replace(" ", chr(0x3000), 1)}"]', "ssh.keys[0]"),
        ("[mqtt]\nurl = ''", "mqtt.url"),
        pytest.param(f"a = {'[' * 100_000}", "too many brackets", id="brackets"),
        pytest.param(f"a = {'1' * 5_000}", "compare with visavis.toml.example", id="digits"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(content: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(content.encode())
    assert says in str(refused.value)
    assert "short" not in str(refused.value)  # a password is never shown


def test_another_encoding_is_said() -> None:
    with pytest.raises(SettingsError, match="not UTF-8"):
        read("[device]".encode("utf-16"))


def test_a_network_that_does_not_tell_its_name_is_asked_for_by_it() -> None:
    told, hidden = (written(f'[wifi]\nssid = "plant"\n{more}') for more in ("", "hidden = true\n"))
    assert told == {"var/lib/iwd/plant.open": "[Settings]\nAutoConnect=true\n"}
    assert hidden == {"var/lib/iwd/plant.open": "[Settings]\nAutoConnect=true\nHidden=true\n"}

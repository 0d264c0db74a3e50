# SPDX-License-Identifier: Apache-2.0
"""`visavis doctor`: what is wrong, where, and what to do."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
from visavis import broker_rights, daemon, doctor, settings
from visavis.cli.doctor import report, report_file, run
from visavis.config_gen import Detector
from visavis.daemon import effective_config
from visavis.doctor import EXAMINATIONS, configured_brokers, kernel, limits, model, reached, units_cache
from visavis.models.auto import Recommendation, remember, this_machine

from deb.broker import join
from tests.unit.command import PROGRAM, complaints, visavis
from tests.unit.engine_files import sealed_engine
from tests.unit.model_files import provided, scrfd_like
from tests.unit.test_check import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
SUBJECTS = {"kernel", "daemon", "cameras", "cuda", "tensorrt", "onnxruntime", "broker", "cache", "model"}


def test_each_subject_is_one_line_with_its_state() -> None:
    answer = visavis("doctor")
    lines = answer.stdout.splitlines()
    assert len(lines) == len(EXAMINATIONS) + 1
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines)
    assert answer.returncode == (1 if any(line.startswith("fail") for line in lines) else 0)


def test_json_is_one_object_a_line_and_what_is_wrong_has_a_remedy() -> None:
    found = [json.loads(line) for line in visavis("doctor", "--json").stdout.splitlines()]
    assert {finding["subject"] for finding in found} >= SUBJECTS
    for finding in found:
        assert finding.keys() == {"subject", "state", "words", "remedy"}
        assert finding["state"] in ("ok", "warn", "fail")
        assert finding["words"]
        assert bool(finding["remedy"]) == (finding["state"] != "ok"), finding


def test_what_set_up_provides_is_ok_here() -> None:
    found = {item["subject"]: item for item in map(json.loads, visavis("doctor", "--json").stdout.splitlines())}
    for subject in ("kernel", "daemon", "onnxruntime", "broker", "cache", "model"):
        assert found[subject]["state"] == "ok", found[subject]


def test_a_good_configuration_is_ok() -> None:
    last = visavis("doctor", "--config", GOLDEN).stdout.splitlines()[-1]
    assert last == f"ok    config       {GOLDEN}"


def test_each_configured_broker_is_looked_at_by_its_name(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    with socket.create_server(("127.0.0.1", 0)) as listens:
        here = f"mqtt://127.0.0.1:{listens.getsockname()[1]}"
        config.write_text(f'[mqtt]\nurl = "{here}"\n[mqtt_second]\nurl = "ws://127.0.0.1:1/mqtt"\n')
        found = {one.subject: one for one in configured_brokers(effective_config(config, {}))}
    assert found["mqtt"].state == "ok"
    assert found["mqtt_second"].state == "warn"
    assert "mqtt_second.url" in found["mqtt_second"].remedy


def test_a_broker_whose_name_is_none_is_not_there() -> None:
    finding = reached("mqtt", f"mqtt://{'a' * 80}.local")
    assert (finding.state, finding.remedy) == ("warn", "start the broker, or correct mqtt.url")


@pytest.fixture
def workers_folder() -> Iterator[Path]:
    """A folder of another user, where root can go and that one too."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user for a while")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def test_root_makes_nothing_that_shuts_the_workers_out(workers_folder: Path) -> None:
    with suppress(KeyError), doctor.as_owner_of(workers_folder):
        (workers_folder / "models").mkdir()
        raise KeyError
    with doctor.as_owner_of(Path("/")):
        (workers_folder / "engines").mkdir()
    made = {file.name: (file.stat().st_uid, file.stat().st_gid) for file in workers_folder.iterdir()}
    assert made == {"models": (NOBODY, NOBODY), "engines": (0, 0)}
    (found,) = doctor.of_others(workers_folder)
    assert f"{workers_folder}/engines is another user's" in found.words
    assert found.remedy == f"sudo chown -R visavis-infer: {workers_folder}"


@pytest.fixture
def of_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of the device, whose password only its unit is given, and whose broker is away."""
    file = tmp_path / "config.toml"
    file.write_text('[mqtt]\nurl = "mqtt://127.0.0.1:1"\nuser = "porch"\npassword_file = "credential:mqtt.password"\n')
    monkeypatch.setattr(daemon, "DEVICE_CONFIG", file)
    return file


def test_without_a_name_the_devices_own_configuration_is_looked_at(
    of_device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(argparse.Namespace(config=None, hardware=False, short=False, output=None, json=False))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("warn  mqtt         mqtt://127.0.0.1:1 is not there") for line in lines), lines
    assert any(" limits " in line for line in lines), lines
    assert lines[-1] == f"ok    config       {of_device}"


def test_a_kernel_that_limits_no_memory_is_told(tmp_path: Path) -> None:
    controllers = tmp_path / "cgroup.controllers"
    assert limits(controllers).state == "warn"
    controllers.write_text("cpuset cpu io pids\n")  # as on Raspberry Pi OS
    assert "cgroup_enable=memory" in limits(controllers).remedy
    controllers.write_text("cpuset cpu io memory pids\n")
    assert limits(controllers).state == "ok"


def test_its_model_is_looked_for_where_its_workers_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SYSTEM_CACHE", tmp_path)
    assert units_cache() is None  # the tests name another
    monkeypatch.delenv("VISAVIS_CACHE_DIR")
    assert units_cache() == tmp_path
    (tmp_path / "mine.onnx").write_bytes(scrfd_like())
    found = model(Detector(model=str(tmp_path / "mine.onnx")), tmp_path)
    assert f"{tmp_path}/models/" in found.words
    monkeypatch.setattr(settings, "SYSTEM_CACHE", tmp_path / "none")
    assert units_cache() is None


@pytest.fixture
def user_porch(tmp_path: Path) -> Path:
    """The configuration of a device that visavis-broker has made a user called porch."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/broker.toml").write_text(f"{join.SAID}[mqtt]\n{join.login('porch')}")
    return tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[device]\nid = "porch"\n', ""),
        (
            '[device]\nid = "hall"\n',
            'device.id "hall" from mqtt.user "porch": `sudo systemctl restart visavis-capture`',
        ),
        ('[device]\nid = "porch"\n[mqtt]\nprefix = "plant"\n', 'mqtt.prefix "plant": set it to "visavis", or add'),
        ('[device]\nid = "porch"\n[mqtt]\nprefix = "plant"\nformats = ["sparkplug"]\n', ""),
        (
            '[device]\nid = "porch"\n[mqtt]\nformats = ["native", "frigate"]\n',
            'mqtt.frigate_prefix "frigate": add the lines "user porch" and "topic write frigate/#" to /etc/mosquitto/',
        ),
        ('[device]\nid = "hall"\n[mqtt]\nurl = "mqtt://elsewhere"\n', ""),
    ],
)
def test_events_that_the_broker_of_our_package_would_not_take_are_told(text: str, said: str, user_porch: Path) -> None:
    user_porch.write_text(text)
    checked = visavis("check", user_porch)
    assert (checked.returncode, checked.stdout) == (0, "ok\n")
    if not said:
        assert checked.stderr == ""
        return
    assert f"warning, {user_porch}: events are lost: " in checked.stderr
    assert said in checked.stderr
    assert (
        f"warn  mqtt         {checked.stderr.partition(f'{user_porch}: ')[2]}"
        in visavis("doctor", "--config", user_porch).stdout
    )


@pytest.mark.parametrize(
    ("rights", "lost"),
    [
        ("user porch\ntopic write attic/#\n", 0),
        ("user hall\ntopic read attic/#\n\n  user porch\ntopic readwrite attic/#\n", 0),
        ("pattern write attic/#\n", 0),
        ("user porch\ntopic attic/#\n", 0),
        ("# user porch\n# topic write attic/#\n", 1),
        ("user porch\ntopic read attic/#\nuser hall\ntopic write attic/#\n", 1),
        ("user porch\ntopic write frigate/#\n", 1),
    ],
)
def test_frigates_form_needs_a_right_of_its_own(
    rights: str, lost: int, user_porch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_rights, "RIGHTS", tmp_path / "visavis.acl")
    broker_rights.RIGHTS.write_text(rights)
    user_porch.write_text('[device]\nid = "porch"\n[mqtt]\nfrigate_prefix = "attic"\nformats = ["frigate"]\n')
    assert len(list(broker_rights.denied(effective_config(user_porch, {}), user_porch))) == lost


def test_what_an_owner_has_set_at_the_broker_is_not_blamed(
    user_porch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_rights, "RIGHTS", tmp_path / "visavis.acl")
    broker_rights.RIGHTS.write_text("pattern readwrite plant/%u/#\n")
    user_porch.write_text('[device]\nid = "porch"\n[mqtt]\nprefix = "plant"\n')
    assert list(broker_rights.denied(effective_config(user_porch, {}), user_porch)) == []
    (tmp_path / "conf.d/own.toml").write_text('[mqtt]\nuser = "me"\n')
    assert list(broker_rights.denied(effective_config(user_porch, {}), user_porch)) == []


def test_what_owners_write_need_not_be_utf_8(user_porch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_rights, "RIGHTS", tmp_path / "visavis.acl")
    broker_rights.RIGHTS.write_bytes(b"# K\xfcche\npattern readwrite plant/%u/#\n")
    user_porch.write_text('[device]\nid = "porch"\n[mqtt]\nprefix = "plant"\n')
    assert list(broker_rights.denied(effective_config(user_porch, {}), user_porch)) == []
    joined = tmp_path / "conf.d/broker.toml"
    joined.write_bytes(joined.read_bytes() + b"# K\xfcche\n")
    assert broker_rights.joined(user_porch, "porch")


def test_the_rights_are_those_of_the_package() -> None:
    assert f"pattern readwrite {broker_rights.PREFIX}/%u/#" in (ROOT / "broker/visavis.acl").read_text().splitlines()
    assert f"rights={broker_rights.RIGHTS}\n" in (ROOT / "deb/scripts/visavis-broker/postinst").read_text()
    assert join.CONFIG.parent / broker_rights.JOINED == join.SETTINGS


def test_a_bad_configuration_fails_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[web]\nlisten = 7\n")
    answer = visavis("doctor", "--config", bad)
    assert answer.returncode == 1
    assert f"fail  config       {bad}:2: web.listen" in answer.stdout


def doctor_with(detector: str, folder: Path) -> str:
    """The line about the model, for a [detector] section; `folder` is the cache."""
    file = folder / "config.toml"
    file.write_text(f"[detector]\n{detector}\n")
    answer = visavis("doctor", "--config", file, variables={"VISAVIS_CACHE_DIR": str(folder)})
    (line,) = (line for line in answer.stdout.splitlines() if line.split()[1] == "model")
    assert answer.returncode == (1 if "fail  " in answer.stdout else 0)
    return line


def test_the_configured_model_is_looked_at_and_how_to_get_it_is_said(tmp_path: Path) -> None:
    line = doctor_with('model = "yunet-n"', tmp_path)
    assert line == "fail  model        model yunet-n is not on this machine: visavis model pull yunet-n"
    line = doctor_with('model = "facefinder"', tmp_path)
    assert line.startswith("fail  model        no model is called 'facefinder': choose from centerface, ")
    assert line.endswith(" or `visavis model import FILE.onnx`"), "a configuration takes no path"


def test_an_imported_model_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(scrfd_like())
    variables = {"VISAVIS_CACHE_DIR": str(tmp_path)}
    assert visavis("model", "import", tmp_path / "mine.onnx", variables=variables).returncode == 0
    setting = 'model = "mine"\ninput = [64, 64]'
    assert doctor_with(setting, tmp_path).startswith(f"ok    model        mine is prepared: {tmp_path}/models/mine-")
    (kept,) = (tmp_path / "originals").glob("mine-*.onnx")
    kept.write_bytes(scrfd_like()[:-1] + b"!")
    line = doctor_with(setting, tmp_path)
    assert line.startswith("fail  model ")
    assert line.endswith(": visavis model import FILE --name mine")


def test_auto_is_the_recommended_model_or_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    auto = Detector(model="auto", input=(96, 64))
    found = model(auto)
    assert (found.state, found.words) == ("warn", '"auto" is centerface, there is no recommendation yet')
    assert found.remedy == "run `visavis model bench`"
    name = provided("yunet-n", tmp_path)
    remember(Recommendation(model=name, input=(96, 64), threads=1, fps=9, here=this_machine()), tmp_path)
    found = model(auto)
    assert (found.state, found.words.split(":")[0]) == ("ok", "yunet-n is prepared")


def test_an_int8_model_that_was_not_made_is_told_as_its_backend_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    found = {
        backend: model(Detector(precision="int8", backend=backend, input=(96, 64)))
        for backend in ("auto", "onnxruntime", "tensorrt")
    }
    states = {backend: finding.state for backend, finding in found.items()}
    assert states == {"auto": "warn", "onnxruntime": "fail", "tensorrt": "warn"}
    assert found["auto"].words.endswith("not quantised for 96x64 on this processor, so it runs in fp32")
    assert found["onnxruntime"].remedy == "visavis model quantize centerface --input 96x64 --pictures FOLDER"
    assert found["tensorrt"].words.startswith("centerface has no engine in int8, so workers run on the processor")


def test_an_engine_in_int8_is_found_for_whoever_may_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "may_use_gpu", ("auto", "tensorrt").__contains__)  # as where TensorRT is installed
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "centerface-int8-0123456789abcdef.engine").touch()
    sealed_engine(tmp_path, "centerface", (128, 64))

    def states() -> list[str]:
        backends = ("auto", "tensorrt", "onnxruntime", "kserve")
        return [model(Detector(backend=one, precision="int8", input=(96, 64)), tmp_path).state for one in backends]

    assert states() == ["warn", "warn", "fail", "fail"], "one is damaged, one for another size"
    sealed_engine(tmp_path, "centerface", (96, 64))
    assert states() == ["ok", "ok", "fail", "fail"]


@pytest.mark.parametrize(("backend", "state"), [("auto", "warn"), ("onnxruntime", "fail")])
def test_an_int8_model_that_cannot_be_looked_at_is_a_finding(backend: str, state: str, tmp_path: Path) -> None:
    found = model(Detector(precision="int8", backend=backend, input=(96, 64)), tmp_path / ("c" * 300))
    assert found.state == state
    assert "/models/centerface-int8-" in found.words
    assert ", File name too long" in found.words


def test_a_configuration_that_is_refused_leaves_the_model_open(tmp_path: Path) -> None:
    line = doctor_with("model = 7", tmp_path)
    assert line == "warn  model        not looked at, the configuration cannot be read: mend what fails here"


def test_a_missing_daemon_fails_with_the_remedy(tmp_path: Path) -> None:
    broken = tmp_path / "visavis-capture"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libopencv_core.so' >&2\nexit 127\n")
    broken.chmod(0o755)
    answer = visavis("doctor", variables={"VISAVIS_CAPTURE": str(broken)})
    assert answer.returncode == 1
    (line,) = (line for line in answer.stdout.splitlines() if " daemon " in line)
    assert line.startswith("fail  daemon       error while loading shared libraries: libopencv_core.so: install")


def test_a_machine_without_mosquitto_is_a_warning(tmp_path: Path) -> None:
    # PATH without it is not enough: mosquitto is also looked for in /usr/sbin, so hide that under an empty folder.
    script = f"mount -t tmpfs none /usr/sbin && exec {PROGRAM} doctor --json"
    answer = visavis_in_namespace(script, tmp_path)
    found = {item["subject"]: item for item in map(json.loads, answer.splitlines())}
    assert found["broker"] == {
        "subject": "broker",
        "state": "warn",
        "words": "mosquitto is not installed",
        "remedy": "apt install mosquitto, or set mqtt.url to a broker you have",
    }


def visavis_in_namespace(script: str, folder: Path) -> str:
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_daemon_that_cannot_start_or_dies_without_a_word_is_named_by_every_command(tmp_path: Path) -> None:
    program = tmp_path / "visavis-capture"
    for content, words in (
        ("not for this processor", f"{program} cannot be started, Exec format error: is it for another processor?"),
        ("#!/bin/sh\nkill -ILL $$\n", "visavis-capture was ended by the system: Illegal instruction"),
        ("#!/bin/sh\nexit 3\n", "visavis-capture ended with 3 and said nothing"),
    ):
        program.write_text(content)
        program.chmod(0o755)
        here = {"VISAVIS_CAPTURE": str(program)}
        assert f"fail  daemon       {words}" in visavis("doctor", variables=here).stdout
        assert complaints(visavis("run", variables=here))[0].startswith(f"visavis: {words}")


@pytest.mark.parametrize(
    ("release", "state"), [("6.9+", "ok"), ("5.1.0", "ok"), ("6.6.31+rpt-rpi-v8", "ok"), ("4.19.0-27-amd64", "fail")]
)
def test_a_kernel_is_known_by_its_first_two_numbers(release: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    assert kernel().state == state


def test_a_measurement_that_is_stopped_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    file = tmp_path / "pi5.txt"
    file.write_text("of last week")
    monkeypatch.setattr("visavis.hardware.report.gather", stopped)
    with pytest.raises(KeyboardInterrupt):
        report(file, short=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"pi5.txt": "of last week"}


@pytest.mark.parametrize("words", [("--short",), ("--output", "pi5.txt")])
def test_options_of_a_report_want_a_report(words: tuple[str, ...]) -> None:
    answer = visavis("doctor", *words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert complaints(answer) == ["visavis: --short and --output are for a report on this board: add --hardware"]


def test_a_report_into_a_pipe_replaces_no_device() -> None:
    with report_file(Path("/dev/null")) as out:
        out.write(b"words")
    assert Path("/dev/null").is_char_device()

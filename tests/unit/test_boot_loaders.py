# SPDX-License-Identifier: Apache-2.0
"""What RAUC is told about each boot loader: an update, its trial, the way back; on files as boot loaders read them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from visavis.errors import UpdateError
from visavis.update.boot import BootLoader, answer
from visavis.update.boot.grub import Grub, fresh_environment
from visavis.update.boot.nvbootctrl import Nvbootctrl, fresh_file
from visavis.update.boot.sector import overwrite, values
from visavis.update.boot.tryboot import Tryboot, fresh_files

from tests.jetson_firmware import FRESH, NVBOOTCTRL, started

END_TRIAL = Path(__file__).parents[2] / "firmware-image/rootfs-pi/usr/lib/visavis-image/end-trial"


class GrubBoard:
    """A device with GRUB; `boot` does what grub.cfg does."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "grubenv"
        self.file.write_bytes(fresh_environment())
        self.loader: BootLoader = Grub(self.file)

    def boot(self) -> str:
        self.loader.before_restart()
        text = self.file.read_text()
        now = values(text)
        good = [slot for slot in now["ORDER"].split() if now[f"{slot}_OK"] == "1"]
        able = [slot for slot in good if now[f"{slot}_TRY"] != "3"]
        if not able:
            able, text = good, re.sub(r"_TRY=\d", "_TRY=0", text)
        tries = int(values(text)[f"{able[0]}_TRY"]) + 1
        self.file.write_text(re.sub(rf"{able[0]}_TRY=\d", f"{able[0]}_TRY={tries}", text))
        return able[0]

    def cut_power(self) -> str:
        return self.boot()


class Pi:
    """A Raspberry Pi with its maker's kernel; `boot` does what its firmware does."""

    symbols = "0000000000000000 t rpi_firmware_notify_reboot\n"

    def __init__(self, folder: Path) -> None:
        self.folder, self.parameter = folder, folder / "run" / "reboot-param"
        for name, content in fresh_files().items():
            (folder / name).write_bytes(content)
        (folder / "run").mkdir()
        (folder / "run" / "symbols").write_text(f"0000000000000000 T rpi_firmware_get\n{self.symbols}")
        self.loader: BootLoader = Tryboot(folder, self.parameter, folder / "run" / "symbols")

    def boot(self) -> str:
        self.loader.before_restart()
        return self.cut_power()

    def cut_power(self) -> str:
        asked = self.parameter.exists() and self.parameter.read_text().split() == ["0", "tryboot"]
        self.parameter.unlink(missing_ok=True)
        section = "tryboot" if asked else "all"
        found = re.search(rf"\[{section}\][^\[]*boot_partition=(\d)", (self.folder / "autoboot.txt").read_text())
        assert found
        return {"2": "A", "3": "B"}[found[1]]


class DebianPi(Pi):
    """A Raspberry Pi with Debian's kernel, which asks the firmware for nothing; its first stage is the image's own."""

    symbols = ""

    def cut_power(self) -> str:
        slot = super().cut_power()
        end_trial(self.folder)
        return slot


class StubbornPi(Pi):
    """The same, but its first stage never gets at the first partition."""

    symbols = ""


def end_trial(folder: Path, slot: str = "A", partition: int | None = None) -> subprocess.CompletedProcess[str]:
    """What the first stage of every slot does."""
    (folder / "run" / "cmdline").write_text(f"root=PARTLABEL=x ro rauc.slot={slot} quiet\n")
    if partition is not None:
        (folder / "run" / "partition").write_bytes(partition.to_bytes(4, "big"))
    command = ["sh", str(END_TRIAL), str(folder), str(folder / "run"), str(folder / "run" / "cmdline")]
    return subprocess.run(command, capture_output=True, text=True, check=partition is None)


class Jetson:
    """A Jetson; `boot` does what its firmware does."""

    def __init__(self, folder: Path) -> None:
        self.slots, program = folder / "slots", folder / "nvbootctrl"
        self.slots.write_text(FRESH)
        program.write_text(NVBOOTCTRL.format(folder=folder))
        program.chmod(0o755)
        (folder / "note").write_bytes(fresh_file())
        self.loader: BootLoader = Nvbootctrl(folder / "note", str(program))

    def boot(self, power_was_off: bool = False) -> str:
        slot, slots = started(self.slots.read_text(), power_was_off)
        self.slots.write_text(slots)
        return slot

    def cut_power(self) -> str:
        return self.boot(power_was_off=True)


Board = GrubBoard | Pi | Jetson


@pytest.fixture(params=[GrubBoard, Pi, DebianPi, Jetson])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    make: Callable[[Path], Board] = request.param
    return make(tmp_path)


def install(board: Board, slot: str) -> None:
    """What RAUC does around the writing."""
    answer(board.loader, ["set-state", slot, "bad"])
    answer(board.loader, ["set-primary", slot])


def good(board: Board, slot: str) -> None:
    answer(board.loader, ["set-state", slot, "good"])


def on_trial_in_b(board: Board) -> None:
    """Slot A has proved itself, and the update in slot B was started for the first time."""
    assert board.boot() == "A"
    good(board, "A")
    install(board, "B")
    assert board.boot() == "B"


def keep_half(board: Pi) -> None:
    """Try slot B and keep it, but only autoboot.txt is written: the power went before the other file."""
    install(board, "B")
    board.boot()
    before = (board.folder / "visavis-slots.txt").read_bytes()
    good(board, "B")
    (board.folder / "visavis-slots.txt").write_bytes(before)


def test_a_fresh_device_boots_slot_a_which_is_not_on_trial(board: Board) -> None:
    assert board.boot() == "A"
    assert answer(board.loader, ["get-primary"]) == "A"
    assert not board.loader.on_trial("A")
    good(board, "A")
    assert answer(board.loader, ["get-state", "A"]) == "good"
    assert answer(board.loader, ["get-state", "B"]) == (
        "good" if isinstance(board, Jetson) else "bad"
    )  # flashed in both


def test_an_update_is_tried_and_kept_when_it_is_good_and_so_is_the_next(board: Board) -> None:
    running = board.boot()
    for _ in range(3):
        good(board, running)
        other = "B" if running == "A" else "A"
        install(board, other)
        assert answer(board.loader, ["get-primary"]) == other
        assert board.boot() == other
        assert board.loader.on_trial(other)
        good(board, other)
        assert not board.loader.on_trial(other)
        assert answer(board.loader, ["get-state", other]) == "good"
        assert [board.cut_power(), board.boot()] == [other, other]
        running = other


def test_three_boots_that_are_not_marked_good_lead_back_for_good(board: Board) -> None:
    assert board.boot() == "A"
    good(board, "A")
    install(board, "B")
    assert [board.boot() for _ in range(3)] == ["B", "B", "B"]
    assert board.loader.on_trial("B")
    assert board.boot() == "A"
    assert not board.loader.on_trial("A")
    good(board, "A")
    assert answer(board.loader, ["get-state", "B"]) == "bad"
    assert answer(board.loader, ["get-primary"]) == "A"
    for _ in range(5):
        assert board.boot() == "A"
        good(board, "A")


def test_a_slot_that_is_being_written_is_never_booted(board: Board) -> None:
    board.boot()
    good(board, "A")
    answer(board.loader, ["set-state", "B", "bad"])
    assert answer(board.loader, ["get-state", "B"]) == "bad"
    for _ in range(3):
        assert board.cut_power() == "A"
        good(board, "A")


def test_the_way_back_is_a_trial_too(board: Board) -> None:
    board.boot()
    good(board, "A")
    install(board, "B")
    board.boot()
    good(board, "B")
    answer(board.loader, ["set-primary", "A"])
    assert board.boot() == "A"
    assert board.loader.on_trial("A")
    good(board, "A")
    assert board.boot() == "A"


def test_whoever_goes_back_from_a_trial_has_the_proved_slot_which_stays_proved(board: Board) -> None:
    on_trial_in_b(board)
    answer(board.loader, ["set-primary", "A"])
    assert answer(board.loader, ["get-primary"]) == "A"
    assert not board.loader.on_trial("A")
    assert board.loader.on_trial("B")  # its gate may begin only now
    assert answer(board.loader, ["get-state", "B"]) == "bad"
    assert [board.boot() for _ in range(3)] == ["A", "A", "A"]
    assert not board.loader.on_trial("A")
    assert board.boot() == "A" or isinstance(board, Jetson)  # whose firmware knows nothing of a slot that we call bad
    assert board.loader.on_trial("B")


def test_what_was_given_up_by_going_back_can_still_prove_itself_before_the_restart(board: Board) -> None:
    on_trial_in_b(board)
    answer(board.loader, ["set-primary", "A"])
    good(board, "B")
    assert not board.loader.on_trial("B")
    assert answer(board.loader, ["get-state", "B"]) == "good"
    assert board.boot() == "A"


def test_the_only_proved_slot_cannot_be_written_over_and_stays_the_way_back(board: Board) -> None:
    on_trial_in_b(board)
    with pytest.raises(UpdateError, match="slot A is the only one that has proved itself"):
        install(board, "A")
    assert answer(board.loader, ["get-primary"]) == "B"
    assert [board.boot() for _ in range(3)] == ["B", "B", "A"]
    assert not board.loader.on_trial("A")


def test_grub_passes_a_proved_slot_over_that_does_not_start_any_more(tmp_path: Path) -> None:
    board = GrubBoard(tmp_path)
    install(board, "B")
    board.boot()
    good(board, "B")
    good(board, "A")
    assert [board.boot() for _ in range(4)] == ["B", "B", "B", "A"]
    # Three power cuts do that too, so it is tried once more, and after that the way to it stays open.
    good(board, "A")
    assert board.loader.comes_back("A")
    assert answer(board.loader, ["get-primary"]) == "B"
    assert [board.boot() for _ in range(4)] == ["B", "B", "B", "A"]
    good(board, "A")
    assert not board.loader.comes_back("A")
    assert answer(board.loader, ["get-primary"]) == "A"
    assert answer(board.loader, ["get-state", "B"]) == "good"
    answer(board.loader, ["set-primary", "B"])
    assert board.loader.on_trial("B")
    assert [board.boot() for _ in range(4)] == ["B", "B", "B", "A"]


def test_a_newer_system_that_power_cuts_took_away_is_back_and_may_be_again(tmp_path: Path) -> None:
    board = GrubBoard(tmp_path)
    install(board, "B")
    board.boot()
    good(board, "B")
    for _ in range(2):
        assert [board.cut_power() for _ in range(4)] == ["B", "B", "B", "A"]
        good(board, "A")
        assert board.boot() == "B"
        assert not board.loader.comes_back("B")
        good(board, "B")
    assert not board.loader.on_trial("B")


def test_a_system_that_failed_its_trial_does_not_come_back(board: Board) -> None:
    install(board, "B")
    for _ in range(4):
        board.boot()
    good(board, "A")
    assert not board.loader.comes_back("A")
    assert answer(board.loader, ["get-primary"]) == "A"


@pytest.mark.parametrize("loader", [Grub, Tryboot, Nvbootctrl])
def test_a_boot_partition_that_is_not_mounted_is_no_fresh_device(
    loader: Callable[[Path], BootLoader], tmp_path: Path
) -> None:
    with pytest.raises(UpdateError, match=r"cannot be read, No such file.*: see whether the boot partition is mounted"):
        loader(tmp_path / "none").on_trial("B")


@pytest.mark.parametrize("kind", [Pi, DebianPi])
def test_a_pi_whose_new_system_does_not_come_up_is_back_at_the_next_start(kind: type[Pi], tmp_path: Path) -> None:
    board = kind(tmp_path)
    install(board, "B")
    assert board.boot() == "B"
    assert board.cut_power() == "A"
    good(board, "A")
    assert answer(board.loader, ["get-state", "B"]) == "bad"
    assert board.boot() == "A"


@pytest.mark.parametrize("written", ["visavis-slots.txt", "autoboot.txt"])
def test_a_pi_with_debians_kernel_that_loses_power_on_the_way_to_a_trial_loses_nothing(
    written: str, tmp_path: Path
) -> None:
    board = DebianPi(tmp_path)
    install(board, "B")
    before = (tmp_path / "autoboot.txt").read_bytes()
    board.loader.before_restart()
    if written == "visavis-slots.txt":  # and no more than that
        (tmp_path / "autoboot.txt").write_bytes(before)
    assert answer(board.loader, ["get-primary"]) == "B"
    assert board.cut_power() == ("A" if written == "visavis-slots.txt" else "B")
    assert (tmp_path / "autoboot.txt").read_bytes() == before
    assert board.cut_power() == "A"
    good(board, "A")
    assert answer(board.loader, ["get-state", "B"]) == "bad"


def test_a_pi_with_debians_kernel_that_loses_power_while_it_keeps_a_system_tries_it_again(tmp_path: Path) -> None:
    board = DebianPi(tmp_path)
    keep_half(board)
    assert board.cut_power() == "B"
    assert board.loader.on_trial("B")
    good(board, "B")
    assert [board.boot(), board.cut_power()] == ["B", "B"]


@pytest.mark.parametrize(("partition", "slot", "right"), [(2, "A", True), (3, "B", True), (3, "A", False)])
def test_a_pi_whose_firmware_takes_the_wrong_command_line_does_not_run(
    partition: int, slot: str, right: bool, tmp_path: Path
) -> None:
    DebianPi(tmp_path)
    done = end_trial(tmp_path, slot, partition)
    assert (done.returncode == 0) == right
    assert ("renew it with rpi-eeprom-update" in done.stdout) == (not right)


@pytest.mark.parametrize("lost", ["visavis-slots.txt", "autoboot-a.txt", "autoboot.txt"])
def test_a_pi_runs_what_was_started_also_when_it_cannot_end_the_trial(lost: str, tmp_path: Path) -> None:
    board = DebianPi(tmp_path)
    install(board, "B")
    board.loader.before_restart()
    (tmp_path / lost).unlink()
    if lost == "autoboot.txt":
        (tmp_path / lost).mkdir()  # it cannot be written, as on a card that takes no more writes
    done = end_trial(tmp_path, "B", 3)
    assert done.returncode == 0
    assert lost in done.stdout + done.stderr or "the first partition cannot be written" in done.stdout


def test_a_pi_whose_first_stage_cannot_end_a_trial_gives_the_slot_up_all_the_same(tmp_path: Path) -> None:
    board = StubbornPi(tmp_path)
    install(board, "B")
    assert [board.boot() for _ in range(4)] == ["B", "B", "B", "A"]
    good(board, "A")
    assert answer(board.loader, ["get-state", "B"]) == "bad"


@pytest.mark.parametrize(
    "words", [["set-state", "B", "bad"], ["set-primary", "B"], ["set-state", "A", "good"]], ids=" ".join
)
def test_a_trial_whose_restart_never_came_leaves_the_proved_slot(words: list[str], tmp_path: Path) -> None:
    board = DebianPi(tmp_path)
    install(board, "B")
    board.loader.before_restart()
    answer(board.loader, words)
    assert board.cut_power() == "A"
    assert not board.loader.on_trial("A")


def test_a_pi_that_loses_power_between_the_two_writes_of_keeping_boots_the_new_system(tmp_path: Path) -> None:
    board = Pi(tmp_path)
    keep_half(board)
    assert board.cut_power() == "B"
    assert not board.loader.on_trial("B")
    assert answer(board.loader, ["get-primary"]) == "B"
    good(board, "B")
    assert board.boot() == "B"


def test_the_slot_that_a_pi_boots_cannot_be_marked_bad(tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="slot A is the one that the firmware boots"):
        Pi(tmp_path).loader.set_bad("A")


def test_what_autoboot_names_has_to_be_a_slot(tmp_path: Path) -> None:
    board = Pi(tmp_path)
    (tmp_path / "autoboot.txt").write_text("[all]\nboot_partition=7\n")
    with pytest.raises(UpdateError, match="names no slot: write it anew"):
        board.loader.primary()


def test_a_jetson_that_gave_a_slot_up_says_where_to_undo_it(tmp_path: Path) -> None:
    board = Jetson(tmp_path)
    board.slots.write_text(board.slots.read_text().replace("status1=normal", "status1=unbootable"))
    assert answer(board.loader, ["get-state", "B"]) == "bad"
    with pytest.raises(UpdateError, match="unbootable, and nvbootctrl cannot change that: in the UEFI menu set"):
        board.loader.set_primary("B")


def test_a_jetson_without_its_tool_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(UpdateError, match="missing: this board's image needs NVIDIA's nvidia-l4t-tools"):
        Nvbootctrl(tmp_path / "note", str(tmp_path / "none")).primary()


def test_files_are_written_in_place_within_a_sector(tmp_path: Path) -> None:
    for kind in (GrubBoard, Pi, DebianPi, Jetson):
        (tmp_path / kind.__name__).mkdir()
        board = kind(tmp_path / kind.__name__)
        files = [file for file in (tmp_path / kind.__name__).iterdir() if file.is_file() and file.name != "slots"]
        before = {file: (file.stat().st_ino, file.stat().st_size) for file in files}
        install(board, "B")
        board.boot()
        good(board, "B")
        assert {file: (file.stat().st_ino, file.stat().st_size) for file in files} == before


def test_a_power_cut_after_any_byte_of_a_write_cannot_be_shorter_than_a_sector(tmp_path: Path) -> None:
    """What makes that so: one write call, all of it in the first sector; the rest of the file is what it was."""
    board = GrubBoard(tmp_path)
    before = board.file.read_bytes()
    install(board, "B")
    after = board.file.read_bytes()
    assert before[:512] != after[:512]
    assert before[512:] == after[512:] == b"#" * 512


def test_what_does_not_fit_a_sector_or_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(b"x" * 20)
    with pytest.raises(UpdateError, match="do not fit one sector"):
        overwrite(file, "y" * 513, "#")
    with pytest.raises(UpdateError, match="has room for 20 bytes only"):
        overwrite(file, "y" * 21, "#")
    with pytest.raises(UpdateError, match="is missing: write the device's image anew"):
        overwrite(tmp_path / "none", "y", "#")
    assert file.read_bytes() == b"x" * 20


def test_rauc_is_told_the_running_slot_where_the_kernel_was_not(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visavis.update.boot.running_slot", lambda: "B")
    assert answer(board.loader, ["get-current"]) == "B"


def test_words_that_rauc_does_not_have_are_refused(board: Board) -> None:
    with pytest.raises(UpdateError, match="asks its boot loader for 'fly home'"):
        answer(board.loader, ["fly", "home"])


def test_an_environment_that_is_lost_counts_as_fresh(tmp_path: Path) -> None:
    board = GrubBoard(tmp_path)
    board.file.write_bytes(os.urandom(1024).replace(b"=", b"#").translate(bytes(i % 128 for i in range(256))))
    assert board.loader.primary() == "A"
    good(board, "A")
    assert values(board.file.read_text())["ORDER"] == "A B"

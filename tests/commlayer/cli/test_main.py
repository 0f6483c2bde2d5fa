"""What every command has in common: help without loading anything, and clear failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import commlayer.cli
from commlayer.cli import COMMANDS
from tests.commlayer.conftest import Commlayer
from tests.commlayer.programs import ROOT, Program

CLI = Path(commlayer.cli.__file__).parent


def test_help_lists_every_command_that_exists(commlayer: Commlayer) -> None:
    listed = commlayer("--help").output
    for name, line in COMMANDS.items():
        assert (f"{name} " in listed and line in listed) == (CLI / f"{name}.py").exists()


def test_help_says_what_exit_codes_mean(commlayer: Commlayer) -> None:
    assert "Exit codes: 0 done, 1 failed" in " ".join(commlayer("--help").output.split())


def test_the_version_is_that_of_the_distribution(commlayer: Commlayer) -> None:
    assert commlayer("version").output.startswith("commlayer 0.")


def test_help_and_version_load_nothing_heavy() -> None:
    program = (
        "import sys; from commlayer.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'faust', 'twilio', 'confluent_kafka', 'pydantic', 'aiohttp'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_that_is_installed_is_the_one_of_python_m() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["commlayer"] == "commlayer.__main__:main"


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [(("run", "dispatch"), 0), (("run", "all"), 0), (("twin",), 0), (("config", "check"), -signal.SIGTERM)],
)
def test_a_process_that_is_told_to_stop_before_it_has_begun_says_that_it_did(
    command: tuple[str, ...], exit_code: int, config_file: Path
) -> None:
    """It waits for its configuration here, long before it handles signals by itself."""
    config_file.unlink()
    os.mkfifo(config_file)
    with Program(*command, config=config_file) as program:
        writing = os.open(config_file, os.O_RDWR)  # opened by the time that the program reads
        try:
            reading = Path(f"/proc/{program.child.pid}/fd")
            deadline = time.monotonic() + 30
            while not any(_leads_to(each, config_file) for each in reading.iterdir()):
                assert time.monotonic() < deadline, program.child.output()
                time.sleep(0.02)
            assert program.child.catches(signal.SIGTERM) == (exit_code == 0)
            assert program.stop() == exit_code
        finally:
            os.close(writing)


def _leads_to(descriptor: Path, file: Path) -> bool:
    try:
        return descriptor.resolve() == file.resolve()
    except OSError:
        return False


def test_a_full_disk_behind_the_output_is_told_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "commlayer", "segments", "--text", "hello"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            cwd=ROOT,
        )
    assert (done.returncode, done.stderr) == (1, "error: what is told cannot be written: No space left on device\n")


def test_an_unknown_command_is_a_usage_error(commlayer: Commlayer) -> None:
    result = commlayer("snd")
    assert result.exit_code == 2
    assert "No such command 'snd'" in result.output


def test_a_wrong_configuration_is_listed_whole_with_exit_code_2(commlayer: Commlayer, config_file: Path) -> None:
    text = config_file.read_text().replace("rate: 50", "rate: 0").replace("pool: all", "pool: al")
    config_file.write_text(text)
    for command in (["config", "check"], ["run", "policy"], ["run", "all"], ["twin"]):
        result = commlayer(*command)
        assert result.exit_code == 2, command
        assert "2 errors" in result.stderr
        assert "senders.us.rate" in result.stderr
        assert "apps.shop.pool" in result.stderr
        assert "did you mean `all`?" in result.stderr
        assert result.stdout == ""


def test_a_missing_file_is_told_with_the_way_to_name_one(commlayer: Commlayer) -> None:
    result = commlayer("--config", "nowhere.yaml", "config", "check")
    assert result.exit_code == 2
    assert "nowhere.yaml: 1 error" in result.stderr
    assert "COMMLAYER_CONFIG" in result.stderr


def test_python_m_commlayer_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "commlayer", "version"], capture_output=True, text=True, check=True, cwd=CLI.parents[1]
    )
    assert done.stdout.startswith("commlayer 0.")

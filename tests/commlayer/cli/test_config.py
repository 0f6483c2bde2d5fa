from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.commlayer.conftest import SECRETS, Commlayer


def test_check_says_ok_with_version_and_size(commlayer: Commlayer) -> None:
    result = commlayer("config", "check")
    assert result.exit_code == 0
    assert ": ok, version " in result.output
    assert "(1 app, 1 sender, 1 account)" in result.output


def test_check_names_missing_secrets_unless_told_not_to_read_them(commlayer: Commlayer) -> None:
    result = commlayer("config", "check", environment={"TOKEN": "", "SECRET": ""})
    assert result.exit_code == 2
    assert "environment variable TOKEN is empty" in result.stderr
    assert "environment variable SECRET is empty" in result.stderr
    assert commlayer("config", "check", "--no-secrets", environment={"TOKEN": ""}).exit_code == 0


def test_check_prints_warnings_and_still_succeeds(commlayer: Commlayer, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "groups: {idle: {partition: 1}}\n")
    result = commlayer("config", "check")
    assert result.exit_code == 0
    assert "warning: groups.idle" in result.stderr


def test_show_prints_what_loads_again_to_the_same_version(commlayer: Commlayer, config_file: Path) -> None:
    version = commlayer("config", "check").output.split("version ")[1].split()[0]
    shown = commlayer("config", "show").stdout
    config_file.write_text(shown)
    assert f"version {version} " in commlayer("config", "check").output


def test_show_prints_references_never_secrets(commlayer: Commlayer) -> None:
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        shown = commlayer(*arguments).stdout
        assert "TOKEN" in shown
        assert not any(secret in shown for secret in SECRETS.values())
    assert json.loads(commlayer("config", "show", "--json").stdout)["kafka"]["replication"] == 1
    assert yaml.safe_load(commlayer("config", "show").stdout)["kafka"]["security"]["protocol"] == "PLAINTEXT"


def test_schema_prints_json_schema(commlayer: Commlayer) -> None:
    assert "properties" in json.loads(commlayer("config", "schema").stdout)

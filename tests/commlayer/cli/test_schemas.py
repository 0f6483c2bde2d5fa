from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.loading import current, file_stems
from tests.commlayer.conftest import Commlayer


@pytest.fixture
def with_registry(config_file: Path, registry_url: str) -> str:
    config_file.write_text(config_file.read_text() + f"registry: {{url: {registry_url}}}\n")
    return registry_url


def test_register_prints_an_id_for_each_contract_and_check_then_finds_nothing(
    commlayer: Commlayer, with_registry: str
) -> None:
    first = commlayer("schemas", "register")
    assert first.exit_code == 0, first.output
    assert {line.split(":")[0] for line in first.stdout.splitlines()} == set(current())
    assert commlayer("schemas", "register").stdout == first.stdout
    checked = commlayer("schemas", "check")
    assert checked.exit_code == 0
    assert f"registry {with_registry}: compatible" in checked.stdout


def test_check_without_a_registry_says_so(commlayer: Commlayer) -> None:
    result = commlayer("schemas", "check")
    assert result.exit_code == 0
    assert "registry: none configured" in result.stdout


def test_register_without_a_registry_is_told_how_to_have_one(commlayer: Commlayer) -> None:
    result = commlayer("schemas", "register")
    assert result.exit_code == 2
    assert "no registry is configured" in result.stderr
    assert "fix: add `registry:" in result.stderr


def test_a_registry_that_does_not_answer_is_told_in_one_line(commlayer: Commlayer, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "registry: {url: 'http://127.0.0.1:1/apis/ccompat/v7'}\n")
    for command in ("check", "register"):
        result = commlayer("schemas", command)
        assert result.exit_code == 1
        assert "http://127.0.0.1:1/apis/ccompat/v7" in result.stderr
        assert "fix: check that the registry runs" in result.stderr
        assert "Traceback" not in result.stderr


def test_check_of_released_versions_needs_no_configuration(commlayer: Commlayer) -> None:
    result = commlayer("--config", "nowhere.yaml", "schemas", "check", "--released-only")
    assert result.exit_code == 0
    assert result.stdout == "released versions: compatible\n"


def test_release_writes_what_changed_and_refuses_what_cannot_be_read(commlayer: Commlayer, tmp_path: Path) -> None:
    folder = tmp_path / "released"
    folder.mkdir()
    first = commlayer("schemas", "release", "--folder", str(folder))
    assert len(first.stdout.splitlines()) == len(current())
    assert commlayer("schemas", "release", "--folder", str(folder)).stdout.startswith("nothing changed")
    file = folder / file_stems()["commlayer.Control"] / "v1.avsc"
    definition = json.loads(file.read_text())
    definition["fields"][1]["type"] = "long"
    file.write_text(json.dumps(definition))
    refused = commlayer("schemas", "release", "--folder", str(folder))
    assert refused.exit_code == 1
    assert "commlayer.Control against v1: subject" in refused.stderr

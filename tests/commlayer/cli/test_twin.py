"""`commlayer twin` serves a Twilio with the accounts and senders of the configuration."""

from __future__ import annotations

import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commlayer.conftest import Commlayer
from tests.commlayer.programs import Program


@pytest.fixture
def twin(config_file: Path, data: dict[str, Any]) -> Iterator[tuple[Program, str]]:
    with Program("twin", config=config_file) as program:
        line = program.line_with("twin: http")
        yield program, line.removeprefix("twin: ").strip()


def test_it_takes_messages_of_the_configured_account_and_sender(
    twin: tuple[Program, str], data: dict[str, Any]
) -> None:
    _, url = twin
    account = data["accounts"]["main"]
    form = urllib.parse.urlencode({"To": "+14155550199", "From": "+14155550100", "Body": "hello"}).encode()
    request = urllib.request.Request(f"{url}/2010-04-01/Accounts/{account['sid']}/Messages.json", form)
    credentials = base64.b64encode(f"{account['api_key']['sid']}:s3cret-value".encode()).decode()
    request.add_header("Authorization", f"Basic {credentials}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["status"] == "queued"


def test_it_stops_by_sigterm(twin: tuple[Program, str]) -> None:
    program, _ = twin
    assert program.stop() == 0


def test_a_taken_port_is_told_in_one_line(twin: tuple[Program, str], commlayer: Commlayer) -> None:
    result = commlayer("twin")
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1:" in result.stderr
    assert "fix: choose another --listen" in result.stderr


@pytest.mark.parametrize("listen", ["8090", "127.0.0.1:", "localhost:http"])
def test_a_listen_address_that_is_none_is_a_usage_error(commlayer: Commlayer, listen: str) -> None:
    result = commlayer("twin", "--listen", listen)
    assert result.exit_code == 2
    assert "write host:port" in result.stderr


def test_settings_of_its_own_are_checked(commlayer: Commlayer, tmp_path: Path) -> None:
    settings = tmp_path / "twin.yaml"
    settings.write_text("accounts: [{sid: nonsense, auth_token: s3cret-token}]\n")
    result = commlayer("twin", "--settings", str(settings))
    assert result.exit_code == 2
    assert "accounts.0.sid" in result.stderr
    assert "s3cret-token" not in result.stderr


@pytest.mark.parametrize("content", [b"accounts: [\n", b"\xff\xfe", b"a: 1\n\tb: 2\n"])
def test_a_settings_file_that_is_no_yaml_is_told_in_one_line(
    commlayer: Commlayer, tmp_path: Path, content: bytes
) -> None:
    settings = tmp_path / "twin.yaml"
    settings.write_bytes(content)
    result = commlayer("twin", "--settings", str(settings))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {settings}")
    assert "not YAML in UTF-8\nfix: docs/twin.md shows a whole file" in result.stderr

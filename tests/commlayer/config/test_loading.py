"""One run tells everything that is wrong; what is right becomes a configuration with a version."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from commlayer.config import ConfigurationInvalid, Purpose, Severity, json_schema, load, loads
from commlayer.config.source import parse

ALL = frozenset(Purpose)
ROOT = Path(__file__).parents[3]


def test_shape_errors_and_wrong_references_are_told_in_one_run(config_data: dict[str, Any]) -> None:
    config_data["kafka"]["replicaton"] = 3
    config_data["senders"]["us-short"]["rate"] = "fast"
    config_data["senders"]["de-name"]["account"] = "mian"
    config_data["groups"]["europe"]["partition"] = 99
    config_data["pools"]["login"] = ["us-short", "nobody"]
    del config_data["bridge"]
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml")
    assert {problem.place for problem in caught.value.problems} == {
        "kafka.replicaton",
        "senders.us-short.rate",
        "senders.de-name.account",
        "groups.europe.partition",
        "pools.login[1]",
        "bridge",
    }


def test_a_wrong_key_is_told_at_its_place_beside_all_else(config_data: dict[str, Any]) -> None:
    config_data["kafka"]["principals"] = {"polcy": "User:policy", "bridge": "bridge"}
    config_data["pools"]["login"] = ["nobody"]
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml")
    told = {problem.place: problem for problem in caught.value.problems}
    assert set(told) == {"kafka.principals.polcy", "pools.login[0]"}
    assert "did you mean `policy`?" in told["kafka.principals.polcy"].fix
    assert told["kafka.principals.polcy"].line is not None


def test_a_reference_to_a_malformed_entry_is_no_second_error(config_data: dict[str, Any]) -> None:
    config_data["senders"]["us-short"]["rate"] = "fast"
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml")
    assert [problem.place for problem in caught.value.problems] == ["senders.us-short.rate"]


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all values in which nothing lies any more."""
    if isinstance(data, dict | list) and data:
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, (*path, key))
    else:
        yield path


def test_one_value_of_a_wrong_shape_is_one_error_wherever_it_stands() -> None:
    example = parse((ROOT / "examples" / "commlayer.yaml").read_text(), "example").data
    for *parents, last in leaves(example):
        broken = copy.deepcopy(example)
        place: Any = broken
        for part in parents:
            place = place[part]
        place[last] = {"what": ["is", "this"]}
        with pytest.raises(ConfigurationInvalid) as caught:
            loads(json.dumps(broken), "broken.yaml")  # it is YAML as well, and written in a tenth of the time
        path = (*parents, last)
        if path[0] == "unsubscribe_lines":  # without a line a category that needs one has none: that is said, too
            continue
        errors = [each for each in caught.value.problems if each.severity is Severity.ERROR]
        # At its own place, or around it: a list whose only entry is wrong has none.
        assert [each.path for each in errors if each.path[: len(path)] != path[: len(each.path)]] == [], path


def test_a_wrong_value_hides_nothing_beside_it(config_data: dict[str, Any]) -> None:
    config_data["kafka"] |= {"replication": "three", "request_timeout_s": 60}
    config_data["kafka"]["security"] = {"protocol": "SASL_SSL", "mechanism": "SCRAM", "username": "me"}
    config_data["senders"]["us-short"] |= {"rate": "fast", "account": "mian"}
    config_data["accounts"]["main"] |= {"base_url": "ftp://x", "auth_token": "inline"}
    config_data["apps"]["login"] |= {"enabled": "yes", "pool": "logn"}
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml", ALL, {})
    assert {problem.place for problem in caught.value.problems} >= {
        "kafka.replication",
        "kafka.request_timeout_s",
        "kafka.security.mechanism",
        "kafka.security.password",
        "senders.us-short.rate",
        "senders.us-short.account",
        "accounts.main.base_url",
        "accounts.main.auth_token",
        "accounts.main.api_key.secret",  # of the environment: not set there
        "apps.login.enabled",
        "apps.login.pool",
    }


def test_a_key_written_twice_hides_nothing_either(config_data: dict[str, Any]) -> None:
    config_data["pools"]["login"] = ["nobody"]
    text = yaml.safe_dump(config_data) + "data_dir: a\ndata_dir: b\n"
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(text, "test.yaml")
    assert {problem.place for problem in caught.value.problems} == {"data_dir", "pools.login[0]"}


def test_errors_and_warnings_are_counted_apart_and_told_apart(config_data: dict[str, Any]) -> None:
    config_data["groups"]["idle"] = {"partition": 7}
    config_data["pools"]["login"] = ["nobody"]
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml")
    first, *lines = str(caught.value).splitlines()
    assert first == "test.yaml: 1 error, 1 warning"
    assert [line.startswith("  warning: groups.idle") for line in lines].count(True) == 1


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"kafka:\n  # f\xfcr alle\n")
    with pytest.raises(
        ConfigurationInvalid, match=r"\(line 2\): cannot be read: byte 0xfc is not UTF-8. Fix: save the"
    ):
        load(file)


def test_the_report_names_file_count_line_path_and_fix() -> None:
    text = "kafka:\n  bootstrap: [a:1]\n  replicaton: 3\n"
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(text, "broken.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "broken.yaml: 7 errors"
    assert "  kafka.replicaton (line 3): unknown key. Fix: did you mean `replication`?" in lines


def test_a_file_that_is_not_there_is_told_with_the_way_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"cannot be read: No such file.*--config"):
        load(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka: [", r"\(line 1\): not YAML"),
        ("kafka:\n\t- a", r"\(line 2\): not YAML"),
        ("- a\n- b", "expected sections at the top, found a list"),
        ("just words", "found a single value"),
        ("kafka: !!python/object:os.system {}", "a tag that means nothing here"),
        ("kafka: !!binary aGk=", "a tag that means nothing here"),
        ("apps:\n  a: 1\n  a: 2\n", r"apps.a \(line 3\): the key is written twice, first on line 2"),
        ("apps: &a\n  b: *a\n", "an alias that contains itself"),
    ],
)
def test_a_file_that_is_no_yaml_of_ours_is_told(text: str, message: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=message):
        loads(text, "test.yaml")


def test_an_empty_file_lists_every_section_it_needs() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        loads("# nothing yet\n", "test.yaml")
    needed = {"kafka", "bridge", "accounts", "senders", "categories", "apps", "countries"}
    assert {problem.place for problem in caught.value.problems} == needed


def test_norway_and_unquoted_numbers_stay_text(config_data: dict[str, Any]) -> None:
    text = yaml.safe_dump(config_data).replace("- DE\n", "- DE\n  - NO\n", 1)
    text = text.replace("'12345'", "12345")
    config = loads(text.replace("allow:\n  - US", "allow:\n  - NO\n  - US"), "test.yaml").config
    assert "NO" in config.countries.allow
    assert config.senders["us-short"].address == "12345"
    number = text.replace("short_code", "long_code").replace("address: 12345", "address: +14155550100")
    assert loads(number, "test.yaml").config.senders["us-short"].address == "+14155550100"


def test_anchors_and_merges_may_be_used(config_data: dict[str, Any]) -> None:
    del config_data["pools"]
    text = yaml.safe_dump(config_data) + "pools:\n  login: &all [us-short]\n  spare: *all\n"
    assert loads(text, "test.yaml").config.pools["spare"] == ("us-short",)


def test_the_version_names_the_content_not_the_writing(config_data: dict[str, Any]) -> None:
    text = yaml.safe_dump(config_data)
    version = loads(text, "test.yaml").config.version
    written_out = {**config_data, "kafka": {**config_data["kafka"], "replication": 3}}
    assert loads("# a comment\n" + yaml.safe_dump(written_out, sort_keys=False), "other.yaml").config.version == version
    config_data["categories"]["otp"]["deadline_s"] = 300
    assert loads(yaml.safe_dump(config_data), "test.yaml").config.version != version


def test_only_the_secrets_of_the_purpose_are_read(config_data: dict[str, Any]) -> None:
    text = yaml.safe_dump(config_data)
    assert loads(text, "test.yaml", frozenset(), {}).secrets.values() == frozenset()
    sending = loads(text, "test.yaml", frozenset({Purpose.SENDING}), {"SECRET": "s3cret-value"})
    assert sending.secrets.values() == {"s3cret-value"}
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(text, "test.yaml", ALL, {"SECRET": ""})
    [secret, token] = sorted(caught.value.problems, key=lambda each: each.what)
    assert "environment variable SECRET is empty" in str(secret)
    assert "environment variable TOKEN is not set" in str(token)


def test_a_secret_is_read_from_a_file_without_its_last_line_break(config_data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    config_data["accounts"]["main"]["auth_token"] = {"file": str(tmp_path / "token")}
    loaded = loads(yaml.safe_dump(config_data), "test.yaml", frozenset({Purpose.SIGNING}), {})
    reference = loaded.config.accounts["main"].auth_token
    assert reference is not None
    assert loaded.secrets.value(reference) == "from-a-file"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_is_missing_empty_or_binary_is_named(
    config_data: dict[str, Any], tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    config_data["accounts"]["main"]["auth_token"] = {"file": str(file)}
    with pytest.raises(ConfigurationInvalid, match=r"accounts\.main\.auth_token .*file /.*token"):
        loads(yaml.safe_dump(config_data), "test.yaml", frozenset({Purpose.SIGNING}), {})


def test_no_secret_shows_in_any_representation(config_data: dict[str, Any]) -> None:
    loaded = loads(yaml.safe_dump(config_data), "t.yaml", ALL, {"SECRET": "s3cret-value", "TOKEN": "t0ken-value"})
    shown = f"{loaded!r} {loaded.secrets} {loaded.config!r} {loaded.config.as_data()}"
    assert "s3cret-value" not in shown
    assert "t0ken-value" not in shown


@pytest.mark.parametrize(
    "path", ["kafka.security.password", "registry.password", "accounts.main.auth_token", "accounts.main.api_key"]
)
def test_an_inline_secret_is_refused_without_being_repeated(config_data: dict[str, Any], path: str) -> None:
    *parents, last = path.split(".")
    section = config_data
    for part in parents:
        section = section.setdefault(part, {})
    section[last] = "hunter2-hunter2"
    with pytest.raises(ConfigurationInvalid) as caught:
        loads(yaml.safe_dump(config_data), "test.yaml")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_the_examples_are_valid() -> None:
    assert load(ROOT / "examples" / "commlayer.yaml").warnings == ()


def test_the_json_schema_knows_every_section_and_refuses_others() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) >= {"kafka", "accounts", "senders", "apps", "data_dir"}
    assert "class" in schema["$defs"]["Category"]["properties"]
    assert schema["$defs"]["SecretRef"]["additionalProperties"] is False

"""The schemas as loaded: names, fingerprints, released versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastavro.schema import to_parsing_canonical_form

from schemas.loading import current, file_stems, released, released_in, schema

_RELEASED_FINGERPRINTS = {
    ("commlayer.Attempt", 1): "0bf17e17a6cdb9bd",
    ("commlayer.Callback", 1): "691eee3648a0f004",
    ("commlayer.Cancellation", 1): "7c3b8351c2b8b731",
    ("commlayer.Consent", 1): "57c3cdfd8753ac3b",
    ("commlayer.Control", 1): "ac95fb22af3ed799",
    ("commlayer.Control", 2): "04c11910b723fd07",
    ("commlayer.CustomerProfile", 1): "29aec4ce86837dc1",
    ("commlayer.DeadLetter", 1): "b3592416a7ece658",
    ("commlayer.Deferral", 1): "d956d47547e058cf",
    ("commlayer.Dispatch", 1): "9cf1a68455475ee2",
    ("commlayer.HandledLetter", 1): "6a498500d23bc6f7",
    ("commlayer.Inbound", 1): "aa8af957205ad12a",
    ("commlayer.LifecycleEvent", 1): "f6eb17bd9b6073fb",
    ("commlayer.MessageRequest", 1): "c9b862924b2a77c3",
    ("commlayer.PolicyDecision", 1): "0096cee77c706990",
    ("commlayer.PolicyOpening", 1): "387cb028c1a665c4",
    ("commlayer.PolicyQuota", 1): "82d2638263215216",
    ("commlayer.PolicyPerson", 1): "b0fcccce2c146d9c",
    ("commlayer.StatusUpdate", 1): "07768cea6dbd65ee",
}
"""Of every version ever released, little-endian. Entries are only ever added: data with these fingerprints exists."""


def _crc64(data: bytes) -> int:
    """CRC-64-AVRO, written after the specification's reference code, bit by bit."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty & -(value & 1))
    return value


@pytest.mark.parametrize(
    ("definition", "fingerprint"),
    [
        ({"type": "record", "name": "foo", "fields": []}, -4824392279771201922),
        ({"type": "record", "name": "foo", "namespace": "x.y", "fields": []}, 5916914534497305771),
        ({"type": "record", "name": "foo", "namespace": "x.y", "doc": "d", "fields": []}, 5916914534497305771),
    ],
)
def test_fingerprints_are_those_of_avros_own_test_vectors(definition: Any, fingerprint: int) -> None:
    assert schema(definition).fingerprint == fingerprint.to_bytes(8, "little", signed=True)


@pytest.mark.parametrize("name", sorted(current()))
def test_fingerprints_are_the_crc_of_the_canonical_form(name: str) -> None:
    one = current()[name]
    assert one.fingerprint == _crc64(to_parsing_canonical_form(one.parsed).encode()).to_bytes(8, "little")


def test_no_two_schemas_share_a_fingerprint() -> None:
    assert len({one.fingerprint for one in current().values()}) == len(current())


def test_released_versions_never_change() -> None:
    found = {(name, number): one.fingerprint.hex() for name, by in released().items() for number, one in by.items()}
    assert found == _RELEASED_FINGERPRINTS


def test_every_released_record_is_in_the_folder_of_its_file() -> None:
    root = Path(__file__).parents[2] / "schemas"
    assert {path.name for path in (root / "released").iterdir()} == {path.stem for path in (root / "avro").iterdir()}
    for name, stem in file_stems().items():
        assert json.loads((root / "released" / stem / "v1.avsc").read_text())["name"] == name.removeprefix("commlayer.")


def test_a_schemas_text_is_the_same_json_without_spaces() -> None:
    for one in current().values():
        assert json.loads(one.text) == one.definition
        assert "\n" not in one.text


def test_versions_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    for number in (10, 9, 1):
        (folder / f"v{number}.avsc").write_text(json.dumps({"type": "record", "name": "T", "fields": []}))
    assert list(released_in(tmp_path)["T"]) == [1, 9, 10]


@pytest.mark.parametrize("name", ["draft.avsc", "v01.avsc", "v2.old.avsc"])
def test_a_file_that_is_no_version_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / name).write_text(json.dumps({"type": "record", "name": "T", "fields": []}))
    with pytest.raises(ValueError, match=r"not named v<N>\.avsc"):
        released_in(tmp_path)

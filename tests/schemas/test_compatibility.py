"""What may change in a schema, and what may not: against the rules, against fastavro, and against what was released."""

from __future__ import annotations

import copy
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.compatibility import check, check_released
from schemas.loading import current, released, schema
from tests.support.schema_changes import CHANGES, EARLIER, Change


def _after(change: Change) -> Any:
    definition = copy.deepcopy(EARLIER)
    change.apply(definition)
    # A type that was defined in a field which is gone or changed is defined where it is used next.
    kinds = str(definition["fields"])
    if "'name': 'Inner'" not in kinds:
        inner = copy.deepcopy(next(field["type"] for field in EARLIER["fields"] if field["name"] == "inner"))
        next(field for field in definition["fields"] if field["name"] == "inners")["type"]["items"] = inner
    return definition


@pytest.mark.parametrize("change", CHANGES, ids=[change.words for change in CHANGES])
def test_a_change_is_judged_and_the_field_is_named(change: Change) -> None:
    findings = check(schema(_after(change)), schema(EARLIER), version=1)
    if change.broken is None:
        assert findings == []
    else:
        assert change.broken in {finding.field for finding in findings}
        assert all(finding.what and finding.fix and finding.version == 1 for finding in findings)


_EXTREMES: list[dict[str, Any]] = [
    {
        "text": "x", "number": 2**31 - 1, "instant": 2**63 - 1, "ratio": 0.1, "flag": True, "raw": b"\xff", "note": "n",
        "kind": kind, "other": kind, "list": ["a"], "tags": {"a": "b"},
        "inner": {"code": 7, "hint": "h"}, "inners": [{"code": 1, "hint": None}],
    }
    for kind in ("a", "b", "c")
] + [
    {
        "text": "", "number": 0, "instant": 0, "ratio": None, "flag": False, "raw": None, "note": None, "kind": "a",
        "other": None, "list": [], "tags": {}, "inner": {"code": 0, "hint": None}, "inners": [],
    }
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=[change.words for change in CHANGES])
def test_fastavro_reads_earlier_data_exactly_when_the_verdict_says_so(change: Change) -> None:
    writer, reader = schema(EARLIER), schema(_after(change))
    failures = 0
    for values in _EXTREMES:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer.parsed, values)
        out.seek(0)
        try:
            fastavro.schemaless_reader(out, writer.parsed, reader.parsed)
        except Exception:  # of several kinds; all mean that it cannot be read
            failures += 1
    assert bool(failures) == bool(check(reader, writer))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_several_harmless_changes_at_once_are_harmless(data: st.DataObject) -> None:
    # A default may go only while its field keeps its name; a record's other name is what findings are compared by.
    alone = ("the record", "a default taken away")
    harmless = [change for change in CHANGES if change.broken is None and not change.words.startswith(alone)]
    names = data.draw(st.lists(st.sampled_from(harmless), max_size=4, unique_by=lambda change: change.words))
    definition = copy.deepcopy(EARLIER)
    for change in names:
        try:
            change.apply(definition)
        except StopIteration:  # the field is gone or renamed already
            continue
    fields = {field["name"]: field for field in definition["fields"]}
    if len(fields) < len(definition["fields"]):
        return  # the same new field twice
    assert check(schema(definition), schema(EARLIER)) == []


def test_todays_schemas_read_whatever_was_released() -> None:
    assert [str(finding) for finding in check_released()] == []


def test_every_earlier_version_counts_not_only_the_last() -> None:
    # v2 dropped `number`; v3 brings it back as text, which v2's data cannot show but v1's can.
    second = {**EARLIER, "fields": [field for field in EARLIER["fields"] if field["name"] != "number"]}
    third = {**second, "fields": [*second["fields"], {"name": "number", "type": "string", "default": ""}]}
    versions = {"commlayer.Sample": {1: schema(EARLIER), 2: schema(second)}}
    findings = check_released({"commlayer.Sample": schema(third)}, versions)
    assert [(finding.version, finding.field) for finding in findings] == [(1, "number")]


def test_a_released_record_may_not_vanish() -> None:
    today = {name: one for name, one in current().items() if name != "commlayer.Inbound"}
    assert [finding.record for finding in check_released(today, released())] == ["commlayer.Inbound"]


def test_a_type_written_differently_in_two_schemas_is_found() -> None:
    definition = copy.deepcopy(current()["commlayer.Deferral"].definition)
    request = next(field for field in definition["fields"] if field["name"] == "request")["type"][1]
    request["fields"].append({"name": "forgotten", "type": ["null", "string"], "default": None})
    findings = check_released({**current(), "commlayer.Deferral": schema(definition)}, {})
    assert ["MessageRequest differs" in finding.what for finding in findings] == [True]


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        (["null", "string"], ""),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, "b"),
        ("int", 2**31),
        (["string", "null"], None),
    ],
)
def test_a_default_that_is_no_value_of_its_type_is_found(kind: Any, default: Any) -> None:
    definition = copy.deepcopy(EARLIER)
    definition["fields"].append({"name": "new", "type": kind, "default": default})
    findings = check_released({"commlayer.Sample": schema(definition)}, {})
    assert [finding.field for finding in findings] == ["Sample.new"]


def test_a_finding_reads_as_a_sentence() -> None:
    change = next(change for change in CHANGES if change.words == "a required field more")
    [finding] = check(schema(_after(change)), schema(EARLIER), version=4)
    assert str(finding) == (
        "commlayer.Sample against v4: new: is new and has no default; give it a default, such as null"
    )


def test_recursive_schemas_are_compared_without_end() -> None:
    link = {
        "type": "record",
        "name": "Link",
        "fields": [{"name": "next", "type": ["null", "Link"]}, {"name": "value", "type": "int"}],
    }
    assert check(schema(link), schema(copy.deepcopy(link))) == []
    broken = copy.deepcopy(link)
    broken["fields"][1]["type"] = "string"  # type: ignore[index]  # a literal's type is too wide
    assert {finding.field for finding in check(schema(broken), schema(link))} == {"value"}

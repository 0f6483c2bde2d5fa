"""Any record of any contract, for property tests: hypothesis strategies made from the Avro schemas."""

from __future__ import annotations

import functools
import typing
from typing import Any

from hypothesis import strategies as st

from schemas.fitting import Types, named_types
from schemas.loading import current
from schemas.records import RECORDS, Record

_TEXT = st.text(max_size=40)  # hypothesis leaves surrogates out of what it can encode as UTF-8


def records(record: type[Record]) -> st.SearchStrategy[Record]:
    """Any instance that fits the record's schema."""
    return _records(record.AVRO_NAME)


@functools.cache  # made for each draw, it would cost more than the draw
def _records(name: str) -> st.SearchStrategy[Record]:
    schema = current()[name]
    return typing.cast("st.SearchStrategy[Record]", _values(schema.parsed, named_types(schema.parsed), RECORDS[name]))


def any_record() -> st.SearchStrategy[Record]:
    """Any instance of any top-level record."""
    return st.sampled_from(sorted(RECORDS)).flatmap(lambda name: records(RECORDS[name]))


def _values(node: Any, types: Types, hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(node, str) and node in types:
        node = types[node]
    if isinstance(node, list):
        inner = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        return st.one_of(*(st.none() if branch == "null" else _values(branch, types, inner[0]) for branch in node))
    match node if isinstance(node, str) else node["type"]:
        case "string":
            return _TEXT
        case "bytes":
            return st.binary(max_size=40)
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "long":
            return st.integers(-(2**63), 2**63 - 1)
        case "double":
            return st.floats(allow_nan=False)
        case "boolean":
            return st.booleans()
        case "enum":
            return st.sampled_from(list(hint))
        case "array":
            return st.lists(_values(node["items"], types, typing.get_args(hint)[0]), max_size=4)
        case "map":
            return st.dictionaries(_TEXT, _values(node["values"], types, typing.get_args(hint)[1]), max_size=4)
        case "record":
            hints = typing.get_type_hints(hint)
            fields = {field["name"]: _values(field["type"], types, hints[field["name"]]) for field in node["fields"]}
            return st.builds(hint, **fields)
        case kind:
            raise AssertionError(f"no strategy for {kind}")

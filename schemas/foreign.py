"""A schema that somebody else registered: may its records be read here?

Whoever may write to the registry can choose the schema that our reader then follows. Avro lets a schema turn few bytes
into endless work or endless depth; such schemas are refused, so that no record can stop or end a process.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import DecodeError
from .fitting import Types, named_types
from .loading import Schema, schema
from .reasons import Reason

MAX_DEPTH = 32
"""Nesting of types. fastavro reads nested types by recursion in C, which no Python limit guards."""
MAX_NODES = 5_000
"""Types a schema holds with its named types written out. Ours hold at most some hundred; unbounded, thirty records of
two fields each, nested, make a billion empty values out of no bytes at all."""
MAX_TEXT = 1_000_000
"""Characters of a schema. Ours have some ten thousand."""


_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_NO_RECORDS = ("enum", "fixed", "array", "map", *_PRIMITIVES)


def foreign_schema(text: str, schema_id: int) -> Schema:
    """The schema, ready to read with: a record of known shape and bounded work.

    Logical types are dropped, because our schemas have none and fastavro would hand out dates instead of integers.

    Raises:
        DecodeError: UNDECODABLE, it is no schema that can be read here; UNEXPECTED_RECORD, it is no record.
    """
    try:
        if len(text) > MAX_TEXT:
            raise _Refused(f"the schema's text is longer than {MAX_TEXT} characters")
        definition = _without_logical_types(json.loads(text))
        if not isinstance(definition, dict) or definition["type"] in _NO_RECORDS:
            raise DecodeError(Reason.UNEXPECTED_RECORD, "the schema is no record", schema_id=schema_id)
        parsed = schema(definition)
        _Scale(named_types(parsed.parsed)).least_bytes(parsed.parsed)
    except DecodeError:
        raise
    except _Refused as refused:
        raise _unreadable(str(refused), schema_id) from None
    except Exception as error:  # a registry may hold anything, too deep for Python's own parsers included
        raise _unreadable(f"the schema is no Avro schema ({type(error).__name__})", schema_id) from None
    return parsed


class _Refused(Exception):
    pass


def _unreadable(detail: str, schema_id: int) -> DecodeError:
    return DecodeError(Reason.UNDECODABLE, detail, None, "write with a schema that commlayer released", schema_id)


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return node


class _Scale:
    """Weighs a schema with its named types written out, and gives up early."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self._nodes = 0

    def least_bytes(self, node: Any, within: tuple[str, ...] = ()) -> int:
        """The fewest bytes that a value of it takes."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Refused(f"the schema holds more than {MAX_NODES} types")
        if len(within) > MAX_DEPTH:
            raise _Refused(f"the schema nests deeper than {MAX_DEPTH} types")
        if isinstance(node, list):
            for branch in node:
                self.least_bytes(branch, (*within, "union"))
            return 1
        if isinstance(node, str):
            if node in self._types:
                return self.least_bytes(self._types[node], within)
            return {"null": 0, "float": 4, "double": 8}.get(node, 1)
        kind = node["type"]
        match kind:
            case "array":
                if self.least_bytes(node["items"], (*within, kind)) == 0:
                    raise _Refused("the schema has an array of items that take no bytes")
                return 1
            case "map":
                self.least_bytes(node["values"], (*within, kind))
                return 1
            case "record":
                if node["name"] in within:
                    raise _Refused("the schema is recursive")
                inner = (*within, node["name"])
                return sum(self.least_bytes(field["type"], inner) for field in node["fields"])
            case "fixed":
                return int(node["size"])
            case "enum":
                return 1
            case _:
                return self.least_bytes(kind, (*within, "wrapped"))

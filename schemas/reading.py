"""Bytes become a typed record: written with one version of its schema, read as today's."""

from __future__ import annotations

import copy
from io import BytesIO
from typing import Any, cast

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError

from .errors import DecodeError
from .fitting import compile_width_search, named_types
from .loading import Schema
from .read_code import compile_reader
from .reasons import Reason
from .records import Record


class Reader:
    """Reads what one writer's schema wrote.

    Args:
        writer: the schema the bytes were written with.
        reader: today's schema of the same record.
        record: its typed record.
        schema_id: the registry's id of `writer`, for error reports.
    """

    def __init__(self, writer: Schema, reader: Schema, record: type[Record], schema_id: int | None = None) -> None:
        self._writer = writer
        self._reader = reader
        self._same = writer.fingerprint == reader.fingerprint
        self._record = record
        self._schema_id = schema_id
        self._code = compile_reader(reader) if self._same else None
        self._width_search = compile_width_search(reader.parsed, named_types(reader.parsed)) or (lambda _: None)

    def read(self, data: bytes, start: int) -> Record:
        """The record whose Avro binary encoding begins at `start` and ends with `data`.

        Raises:
            DecodeError: UNDECODABLE, whatever the bytes are; it names the field where reading failed.
        """
        if self._code is not None:
            try:
                found, end = self._code(data, start)
            except Exception:  # it is not sure; fastavro is
                return self._read_patiently(data, start)
            if end == len(data):
                return cast("Record", found)
        return self._read_patiently(data, start)

    def _read_patiently(self, data: bytes, start: int) -> Record:
        stream = BytesIO(data)
        stream.seek(start)
        try:
            if self._same:
                values: Any = schemaless_reader(stream, self._reader.parsed, None)
            else:
                # fastavro hands out the reader's default objects themselves: two records would share one dict.
                values = copy.deepcopy(schemaless_reader(stream, self._writer.parsed, self._reader.parsed))
        except Exception as error:  # fastavro raises many kinds, and bytes can be anything
            raise self._undecodable(_words(error), self._failing_field(data, start)) from None
        left = len(data) - stream.tell()
        if left:
            raise self._undecodable(f"{left} bytes follow the end of the record", None)
        too_wide = self._width_search(values)
        if too_wide is not None:
            raise self._undecodable("holds an int of more than 32 bits", too_wide)
        try:
            return self._record.from_avro(values)
        except Exception as error:
            raise self._undecodable(f"does not fit the typed record ({type(error).__name__})", None) from None

    def _undecodable(self, detail: str, field: str | None) -> DecodeError:
        fix = f"write {self._reader.name} with a schema that commlayer released"
        return DecodeError(Reason.UNDECODABLE, detail, field, fix, self._schema_id)

    def _failing_field(self, data: bytes, start: int) -> str | None:
        """The field of the record at which reading fails: they are read again, one by one."""
        stream = BytesIO(data)
        stream.seek(start)
        for field in self._writer.parsed["fields"]:
            try:
                ours = [one for one in self._reader.parsed["fields"] if _means(one, field["name"])]
                schemaless_reader(
                    stream,
                    _alone(self._writer, [field]),
                    None if self._same else _alone(self._reader, ours),
                )
            except Exception:  # the very failure that is looked for
                return str(field["name"])
        return None


def _words(error: Exception) -> str:
    match error:
        case EOFError():
            return "the bytes end inside the record"
        case UnicodeDecodeError():
            return "a text is not UTF-8"
        case SchemaResolutionError():
            return "the writer's schema allows what ours has no place for"
        case IndexError():
            return "the index of an enum symbol or union branch does not exist"
        case _:
            return f"not an Avro encoding of the writer's schema ({type(error).__name__})"


def _means(field: Any, name: str) -> bool:
    return field["name"] == name or name in field.get("aliases", ())


def _alone(schema: Schema, fields: list[Any]) -> dict[str, Any]:
    """A record schema of these fields alone: named types that were defined in another field are defined here."""
    types = named_types(schema.parsed)
    defined: set[str] = set()

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(branch) for branch in node]
        if isinstance(node, str):
            return inline(types[node]) if node in types and node not in defined else node
        if isinstance(node, dict) and node.get("name") in types:
            if node["name"] in defined:
                return node["name"]
            defined.add(node["name"])
        plain = {key: value for key, value in node.items() if not key.startswith("__")}
        for inner in ("items", "values"):
            if inner in plain:
                plain[inner] = inline(plain[inner])
        if "fields" in plain:
            plain["fields"] = [{**field, "type": inline(field["type"])} for field in plain["fields"]]
        return plain

    return {
        "type": "record",
        "name": schema.name,
        "fields": [{**field, "type": inline(field["type"])} for field in fields],
    }

"""A schema registry in memory, and bytes as other writers write them."""

from __future__ import annotations

import io
import struct
from typing import Any

import fastavro

from schemas.codec import RegistryCodec
from schemas.errors import RegistryUnavailable, SchemaNotRegistered, UnknownSchemaId
from schemas.loading import Schema


class FakeRegistry:
    """A registry in memory; counts what it is asked."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.asked = 0
        self.down = False

    def add(self, text: str) -> int:
        self.texts[len(self.texts) + 1] = text
        return len(self.texts)

    def schema_text(self, schema_id: int) -> str:
        self.asked += 1
        if self.down:
            raise RegistryUnavailable("down")
        if schema_id not in self.texts:
            raise UnknownSchemaId(schema_id)
        return self.texts[schema_id]

    def id_of(self, ours: Schema) -> int:
        if self.down:
            raise RegistryUnavailable("down")
        for schema_id, text in self.texts.items():
            if text == ours.text:
                return schema_id
        raise SchemaNotRegistered(ours.name)

    def register(self, ours: Schema) -> int:
        try:
            return self.id_of(ours)
        except SchemaNotRegistered:
            return self.add(ours.text)


def registry_codec(registry: FakeRegistry | None = None, **options: Any) -> RegistryCodec:
    """A codec over a fake registry."""
    return RegistryCodec(registry or FakeRegistry(), **options)  # type: ignore[arg-type]  # a fake of it


def field_of(definition: Any, name: str) -> Any:
    """A field of a schema's JSON, to be changed."""
    return next(field for field in definition["fields"] if field["name"] == name)


def single_object(writer: Schema, values: dict[str, Any]) -> bytes:
    """Plain values in single-object encoding."""
    out = io.BytesIO()
    out.write(b"\xc3\x01" + writer.fingerprint)
    fastavro.schemaless_writer(out, writer.parsed, values)
    return out.getvalue()


def confluent(schema_id: int, writer: Schema, values: dict[str, Any]) -> bytes:
    """Plain values in Confluent wire format."""
    return struct.pack(">bI", 0, schema_id) + single_object(writer, values)[10:]

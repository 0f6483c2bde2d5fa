"""Typed records to bytes and back, in the two wire formats of Avro on Kafka.

* **Single-object encoding**: `C3 01`, 8 bytes fingerprint, Avro. Needs no registry: both know the released schemas.
* **Confluent wire format**: `00`, 4 bytes schema id, Avro. The registry tells what the id means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from .errors import DecodeError, EncodeError, NotPrepared, SchemaNotLoaded, UnknownSchemaId
from .foreign import foreign_schema
from .loading import Schema, current, released
from .reading import Reader
from .reasons import Reason
from .records import RECORDS, Record
from .writing import Writer

if TYPE_CHECKING:
    from .registry import Registry

SINGLE_OBJECT_MAGIC = b"\xc3\x01"
_SINGLE_OBJECT_START = len(SINGLE_OBJECT_MAGIC) + 8
CONFLUENT_MAGIC = b"\x00"
_CONFLUENT_START = len(CONFLUENT_MAGIC) + 4

ABSENCE_KEPT_S = 30.0
"""How long "the registry has no such schema" is believed: one question per unknown id and half-minute, however many
records name it."""

_FIX_FORMAT = "write Avro with commlayer-client, or in single-object encoding or Confluent wire format"


class Codec(Protocol):
    """Typed records to bytes and back. Both directions are quick and never block."""

    def encode(self, record: Record) -> bytes:
        """The record's bytes.

        Raises:
            EncodeError: a field does not fit the schema.
        """

    def decode(self, data: bytes) -> Record:
        """The record, of whichever known type; fields that its writer did not know have their defaults.

        Raises:
            DecodeError: the bytes will never become a record.
            SchemaNotLoaded: `RegistryCodec` only; load that schema, then decode again.
        """


class SingleObjectCodec:
    """Avro single-object encoding; knows today's and every released version of every schema."""

    def __init__(self, known: Iterable[Schema] | None = None) -> None:
        """`known` are the schemas that writers may have used, besides today's; all released ones by default."""
        if known is None:
            known = [one for versions in released().values() for one in versions.values()]
        self._writers = {name: (SINGLE_OBJECT_MAGIC + one.fingerprint, Writer(one)) for name, one in current().items()}
        self._readers = {
            one.fingerprint: Reader(one, current()[one.name], RECORDS[one.name])
            for one in (*known, *current().values())
            if one.name in current()
        }

    def encode(self, record: Record) -> bytes:
        """See `Codec.encode`."""
        prefix, writer = _known(self._writers, record)
        return writer.write(record, prefix)

    def decode(self, data: bytes) -> Record:
        """See `Codec.decode`."""
        if data[:2] != SINGLE_OBJECT_MAGIC:
            raise _no_format(data)
        reader = self._readers.get(data[2:_SINGLE_OBJECT_START])
        if reader is None:
            raise self._unknown(data)
        return reader.read(data, _SINGLE_OBJECT_START)

    def _unknown(self, data: bytes) -> DecodeError:
        if len(data) < _SINGLE_OBJECT_START:
            return DecodeError(Reason.UNDECODABLE, "the bytes end inside the schema's fingerprint", fix=_FIX_FORMAT)
        detail = f"no released schema has the fingerprint {data[2:_SINGLE_OBJECT_START].hex()}"
        return DecodeError(Reason.UNKNOWN_SCHEMA, detail, fix="upgrade commlayer before its clients")


class RegistryCodec:
    """Confluent wire format; reads single-object encoding as well, so that a registry can be introduced on a running
    installation.

    `prepare` and `load` ask the registry and block: call them in a thread.
    """

    def __init__(self, registry: Registry, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._single_object = SingleObjectCodec()
        self._writers: dict[str, tuple[bytes, Writer]] = {}
        self._readers: dict[int, Reader | DecodeError] = {}
        self._absent_until: dict[int, float] = {}

    def prepare(self, records: Iterable[type[Record]] | None = None, *, register: bool = False) -> None:
        """Learn the schema ids of these records (all by default), so that they can be encoded.

        With `register` schemas that the registry lacks are registered; otherwise that is an operator's deed.

        Raises:
            SchemaNotRegistered: the registry lacks our version of a record.
            IncompatibleSchema: the registry refuses our version (`register` only).
            RegistryUnavailable: wait and call again.
        """
        names = [record.AVRO_NAME for record in records] if records is not None else list(current())
        for name in names:
            ours = current()[name]
            schema_id = self._registry.register(ours) if register else self._registry.id_of(ours)
            self._readers[schema_id] = Reader(ours, ours, RECORDS[name], schema_id)
            self._writers[name] = (CONFLUENT_MAGIC + schema_id.to_bytes(4, "big"), Writer(ours))

    def encode(self, record: Record) -> bytes:
        """See `Codec.encode`.

        Raises:
            NotPrepared: `prepare` has not succeeded for this record.
        """
        if self._writers.get(record.AVRO_NAME) is None and record.AVRO_NAME in current():
            raise NotPrepared(f"call prepare() before encoding {record.AVRO_NAME}")
        prefix, writer = _known(self._writers, record)
        return writer.write(record, prefix)

    def decode(self, data: bytes) -> Record:
        """See `Codec.decode`."""
        if data[:1] != CONFLUENT_MAGIC:
            return self._single_object.decode(data)
        if len(data) < _CONFLUENT_START:
            raise DecodeError(Reason.UNDECODABLE, "the bytes end inside the schema id", fix=_FIX_FORMAT)
        schema_id = int.from_bytes(data[1:_CONFLUENT_START], "big", signed=True)
        reader = self._readers.get(schema_id)
        if reader is None:
            if schema_id < 0:  # no registry has it, and some would call the question a mistake of ours
                raise _absent(schema_id)
            if schema_id in self._absent_until:
                self._still_absent(schema_id)
            raise SchemaNotLoaded(schema_id)
        if isinstance(reader, DecodeError):
            raise _again(reader)
        return reader.read(data, _CONFLUENT_START)

    def load(self, schema_id: int) -> None:
        """Fetch a schema that `decode` asked for. Blocks.

        Raises:
            DecodeError: UNKNOWN_SCHEMA, the registry has none of this id; others, its records cannot be read here.
            RegistryUnavailable: wait and call again.
        """
        if schema_id in self._absent_until:
            self._still_absent(schema_id)
        try:
            text = self._registry.schema_text(schema_id)
        except UnknownSchemaId:
            self._absent_until[schema_id] = self._clock() + ABSENCE_KEPT_S
            raise _absent(schema_id) from None
        try:
            writer = foreign_schema(text, schema_id)
            ours = current().get(writer.name)
            if ours is None:
                detail = f"records of type {writer.name[:200]} are not known here"
                raise DecodeError(Reason.UNEXPECTED_RECORD, detail, schema_id=schema_id)
        except DecodeError as error:
            self._readers[schema_id] = error
            raise _again(error) from None
        self._readers[schema_id] = Reader(writer, ours, RECORDS[ours.name], schema_id)

    def _still_absent(self, schema_id: int) -> None:
        if self._clock() < self._absent_until[schema_id]:
            raise _absent(schema_id)
        del self._absent_until[schema_id]


def _known(writers: dict[str, tuple[bytes, Writer]], record: Record) -> tuple[bytes, Writer]:
    try:
        return writers[record.AVRO_NAME]
    except KeyError:
        raise EncodeError(record.AVRO_NAME, "is no record of its own", "encode the record that contains it") from None


def _absent(schema_id: int) -> DecodeError:
    return DecodeError(
        Reason.UNKNOWN_SCHEMA,
        f"the registry has no schema {schema_id}",
        fix="register the schema (`commlayer schemas register`), or write to the registry that commlayer reads",
        schema_id=schema_id,
    )


def _again(error: DecodeError) -> DecodeError:
    # A fresh one each time: a raised exception collects tracebacks.
    return DecodeError(error.reason, error.detail, error.field, error.fix, error.schema_id)


def _no_format(data: bytes) -> DecodeError:
    if not data:
        detail = "the record has no value"
    elif data[:1] in b"{[":
        detail = "this looks like JSON"
    else:
        detail = f"the bytes begin with {data[:2].hex()}, which is no wire format of ours"
    return DecodeError(Reason.UNDECODABLE, detail, fix=_FIX_FORMAT)

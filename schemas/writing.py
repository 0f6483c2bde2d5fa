"""A typed record becomes bytes."""

from __future__ import annotations

from io import BytesIO

from fastavro import schemaless_writer

from .errors import EncodeError
from .fitting import compile_check, misfit, named_types
from .loading import Schema
from .records import Record


class Writer:
    """Writes records of one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._parsed = schema.parsed
        self._types = named_types(schema.parsed)
        self._fits = compile_check(schema.parsed, self._types) or (lambda _: True)

    def write(self, record: Record, prefix: bytes) -> bytes:
        """`prefix` followed by the record's Avro binary encoding.

        Raises:
            EncodeError: a field does not fit; it names the field and never its value.
        """
        out = BytesIO()
        out.write(prefix)
        try:
            values = record.to_avro()
            if self._fits(values):
                schemaless_writer(out, self._parsed, values)
                return out.getvalue()
        except Exception:  # fastavro raises many kinds, says less than the search below, and quotes the value
            raise self._why_not(record) from None
        raise self._why_not(record)

    def _why_not(self, record: Record) -> EncodeError:
        found = misfit(record, self.schema.parsed, self._types)
        if found is None:
            return EncodeError(self.schema.name, "cannot be written", "report this as a defect of commlayer")
        return EncodeError(found.field or self.schema.name, found.detail, found.fix)

"""A typed record becomes bytes."""

from __future__ import annotations

from .errors import EncodeError
from .fitting import misfit, named_types
from .loading import Schema
from .records import Record
from .write_code import compile_writer


class Writer:
    """Writes records of one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._code = compile_writer(schema)

    def write(self, record: Record, prefix: bytes) -> bytes:
        """`prefix` followed by the record's Avro binary encoding.

        Raises:
            EncodeError: a field does not fit; it names the field and never its value.
        """
        try:
            return self._code(record, prefix)
        except Exception:  # many kinds, which say less than the search below, and may quote the value
            raise self._why_not(record) from None

    def _why_not(self, record: Record) -> EncodeError:
        found = misfit(record, self.schema.parsed, named_types(self.schema.parsed))
        if found is None:
            return EncodeError(self.schema.name, "cannot be written", "report this as a defect of commlayer")
        return EncodeError(found.field or self.schema.name, found.detail, found.fix)

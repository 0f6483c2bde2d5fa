"""Facts from bytes that lay in the log: what was readable when it came must be readable when it is read again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from connectors.twilio.errors import ErrorPolicy
from schemas.codec import Codec
from schemas.errors import DecodeError, RegistryUnavailable, SchemaNotLoaded
from schemas.records import Callback, LifecycleEvent

from .facts import Fact, fact_of, is_repeat

_CONFLUENT_START = 5  # magic byte and schema id; what follows does not change which schema is needed
_RETRY_S = 1.0


class FactReader:
    """Reads facts of which this process has seen no record yet, or not lately.

    Args:
        codec: reads records.
        load: fetches a schema that the codec does not hold, blocking (`RegistryCodec.load`).
        errors: what Twilio's errors mean; the table as shipped when None.
    """

    def __init__(self, codec: Codec, load: Callable[[int], None], errors: ErrorPolicy | None = None) -> None:
        self._codec = codec
        self._load = load
        self._errors = errors or ErrorPolicy()
        self._seen: set[bytes] = set()

    def read(self, value: bytes) -> Fact | None:
        """The fact, or None where the bytes state none: those went to comms.dead when they came."""
        try:
            record = self._codec.decode(value)
        except DecodeError:
            return None
        return fact_of(record, self._errors) if isinstance(record, LifecycleEvent | Callback) else None

    def is_repeat(self, value: bytes) -> bool:
        """Whether the bytes state that the app asked again (`facts.is_repeat`)."""
        try:
            record = self._codec.decode(value)
        except DecodeError:
            return False
        return isinstance(record, LifecycleEvent | Callback) and is_repeat(record)

    def prepare(self, value: bytes, stop: threading.Event) -> None:
        """See to it that `read` will not lack the schema of this value. Blocks; waits for the registry until told to
        stop. Safe to call from one thread while another reads."""
        start = bytes(value[:_CONFLUENT_START])
        if start in self._seen:
            return
        while not stop.is_set():
            try:
                self._codec.decode(value)
            except SchemaNotLoaded as missing:
                try:
                    self._load(missing.schema_id)
                except RegistryUnavailable:
                    stop.wait(_RETRY_S)
                except DecodeError:
                    return
            except DecodeError:
                return
            else:
                break
        self._seen.add(start)

"""What can go wrong between a typed record and its bytes. No text here ever holds a value: bodies are private."""

from __future__ import annotations

from .reasons import Reason


class ContractError(Exception):
    """Base of everything that this package raises on purpose."""


class EncodeError(ContractError):
    """A record cannot be written as its schema says: a defect of whoever built it.

    Attributes:
        field: path of the offending field, for example `content.media_urls[2]`.
        detail: what is wrong with it.
        fix: what to do about it.
    """

    def __init__(self, field: str, detail: str, fix: str) -> None:
        super().__init__(f"{field}: {detail}; {fix}")
        self.field = field
        self.detail = detail
        self.fix = fix


class DecodeError(ContractError):
    """Bytes that will never become a record, however often they are read: a dead letter.

    Attributes:
        reason: UNDECODABLE, UNKNOWN_SCHEMA or UNEXPECTED_RECORD.
        detail: what is wrong.
        field: path of the field where reading failed, where it is known.
        fix: what the writer can do about it.
        schema_id: the registry's id that the bytes name.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str,
        field: str | None = None,
        fix: str | None = None,
        schema_id: int | None = None,
    ) -> None:
        super().__init__(f"{reason.value}: {f'{field}: ' if field else ''}{detail}")
        self.reason = reason
        self.detail = detail
        self.field = field
        self.fix = fix
        self.schema_id = schema_id


class SchemaNotLoaded(ContractError):
    """The bytes name a schema id that has not been fetched yet: call `RegistryCodec.load` in a thread, then decode
    again."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} has not been fetched from the registry yet")
        self.schema_id = schema_id


class NotPrepared(ContractError):
    """A `RegistryCodec` was asked to encode before `prepare` had learnt the schema ids: a defect of the caller."""


class RegistryUnavailable(ContractError):
    """The registry gave no answer that counts: down, refusing us, or no registry at all. Wait and ask again."""


class RegistryRefused(RegistryUnavailable):
    """The registry answers but not to these credentials. Waiting helps only once somebody has corrected them."""


class SchemaNotRegistered(ContractError):
    """The registry does not hold our current schema of a record: run `commlayer schemas register`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not registered as this version has it; run `commlayer schemas register`")
        self.name = name


class UnknownSchemaId(ContractError):
    """The registry says that it has no schema of this id."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"the registry has no schema {schema_id}")
        self.schema_id = schema_id


class IncompatibleSchema(ContractError):
    """A schema that cannot read what was written before; `detail` says why."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail

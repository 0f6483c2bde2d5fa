"""The schema registry: register, look up, check. Speaks Confluent's REST interface, which Apicurio offers as well.

Subject of a schema = full name of its record, on whichever topics it travels. Everything here blocks: a thread's work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import (
    IncompatibleSchema,
    RegistryRefused,
    RegistryUnavailable,
    SchemaNotRegistered,
    UnknownSchemaId,
)
from .loading import Schema, schema

COMPATIBILITY = "BACKWARD_TRANSITIVE"
"""Today's schema reads whatever any earlier one wrote: topics keep records for up to five years."""

_UNKNOWN = (40401, 40402, 40403)
"""Confluent's codes of an unknown subject, version, schema. A bare 404 is no such answer: the URL is then that of
something else, and nothing may be given up because of it."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, repr=False)
class RegistryLogin:
    """Basic authentication; its repr hides the password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"RegistryLogin(user={self.user!r})"


class Registry:
    """One schema registry.

    Args:
        url: base URL; several, separated by commas, are tried in turn.
        login: basic authentication, if it asks for it.
        ca_file: certificates to trust; the public ones by default.
        timeout_s: for connecting, and for each wait on the answer. Nothing is retried here: callers back off.

    Every method raises RegistryUnavailable when there is no answer that counts, RegistryRefused (a kind of it) when
    the credentials do not suffice.
    """

    def __init__(
        self, url: str, *, login: RegistryLogin | None = None, ca_file: str | None = None, timeout_s: float = 5.0
    ) -> None:
        # Imported here: an application without a registry need not have the client's extra dependencies.
        from confluent_kafka.schema_registry import SchemaRegistryClient

        self.url = url
        config: dict[str, Any] = {"url": url, "timeout": timeout_s, "max.retries": 0}
        if login is not None:
            config["basic.auth.user.info"] = f"{login.user}:{login.password}"
        if ca_file is not None:
            config["ssl.ca.location"] = ca_file
        self._client = SchemaRegistryClient(config)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def schema_text(self, schema_id: int) -> str:
        """The schema of this id, as it was registered.

        Raises:
            UnknownSchemaId: the registry says that there is none.
        """
        try:
            return str(self._ask(lambda: self._client.get_schema(schema_id).schema_str))
        except _NotThere:
            raise UnknownSchemaId(schema_id) from None

    def id_of(self, ours: Schema) -> int:
        """The id of our schema under its subject: of the same text, else of a version that differs only in docs or
        defaults, which do not change what is written.

        Raises:
            SchemaNotRegistered: there is neither.
        """
        try:
            return int(self._ask(lambda: self._client.lookup_schema(ours.name, _confluent(ours)).schema_id))
        except _NotThere:
            for version in reversed(self.versions(ours.name)):
                if version.schema.fingerprint == ours.fingerprint:
                    return version.schema_id
        raise SchemaNotRegistered(ours.name)

    def register(self, ours: Schema) -> int:
        """Register our schema under its subject, and have the subject enforce compatibility. Registering again
        changes nothing.

        Returns:
            its id, the same on every repetition.

        Raises:
            IncompatibleSchema: it cannot read what an earlier version wrote.
        """
        self._ask(lambda: self._client.set_compatibility(ours.name, COMPATIBILITY))
        try:
            return int(self._ask(lambda: self._client.register_schema(ours.name, _confluent(ours))))
        except _Conflict as conflict:
            raise IncompatibleSchema(ours.name, str(conflict)) from None

    def versions(self, name: str) -> list[RegisteredVersion]:
        """Every version under a subject, oldest first; none when there is no such subject."""
        try:
            numbers = self._ask(lambda: self._client.get_versions(name))
        except _NotThere:
            return []
        return [self._version(name, number) for number in sorted(numbers)]

    def accepts(self, ours: Schema) -> bool:
        """Whether the registry itself would take our schema after every version it has."""
        try:
            return bool(self._ask(lambda: self._client.test_compatibility_all_versions(ours.name, _confluent(ours))))
        except _NotThere:
            return True
        except _Conflict:  # it finds it invalid
            return False

    def compatibility(self, name: str) -> str | None:
        """The level that a subject enforces; None when it has none of its own."""
        try:
            return str(self._ask(lambda: self._client.get_compatibility(name)))
        except _NotThere:
            return None

    def _version(self, name: str, number: int) -> RegisteredVersion:
        found = self._ask(lambda: self._client.get_version(name, number))
        return RegisteredVersion(number, int(found.schema_id), schema(json.loads(found.schema.schema_str)))

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            return question()
        except SchemaRegistryError as error:
            raise self._refusal(error.http_status_code, error.error_code, str(error.error_message)[:500]) from None
        except Exception as error:  # of the HTTP client: refused, reset, timed out, no JSON
            raise RegistryUnavailable(f"{self.url} gives no usable answer: {type(error).__name__} {error}") from error

    def _refusal(self, status: int, code: int | None, detail: str) -> Exception:
        if code in _UNKNOWN:
            return _NotThere()
        if status in (401, 403):
            return RegistryRefused(f"{self.url} refuses these credentials (HTTP {status})")
        if status < 500 and code in (None, -1):
            return RegistryUnavailable(
                f"{self.url} answers, but not as a schema registry (HTTP {status}): check the URL (Apicurio's ends in "
                "/apis/ccompat/v7)"
            )
        if status in (409, 422):
            return _Conflict(detail)
        return RegistryUnavailable(f"{self.url} answered HTTP {status}: {detail}")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a subject: its number there, the registry-wide schema id, the schema."""

    number: int
    schema_id: int
    schema: Schema


class _NotThere(Exception):
    pass


class _Conflict(Exception):
    pass


def _confluent(ours: Schema) -> Any:
    from confluent_kafka.schema_registry import Schema as ConfluentSchema

    return ConfluentSchema(ours.text, "AVRO")

"""Secrets by reference: which ones a process needs, and their values, which no representation shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path as FilePath

from .draft import Draft
from .fields import SecretRef
from .model import Configuration
from .problems import Path, Problem


class Purpose(StrEnum):
    """What a secret is for. A process reads only those it needs."""

    KAFKA = "kafka"
    REGISTRY = "registry"
    SENDING = "sending"
    SIGNING = "signing"
    ENRICHING = "enriching"


class Secrets:
    """Resolved secrets by reference.

    Args:
        open: references whose values may be shown: names of users.
    """

    def __init__(self, values: Mapping[SecretRef, str], open: frozenset[SecretRef] = frozenset()) -> None:
        self._values = dict(values)
        self._open = open

    def value(self, reference: SecretRef) -> str:
        """The secret itself.

        Raises:
            KeyError: it was not among those asked for; the message names the reference.
        """
        return self._values[reference]

    def find(self, reference: SecretRef | None) -> str | None:
        """The secret, or None when there is no reference or this process did not ask for it."""
        return None if reference is None else self._values.get(reference)

    def values(self) -> frozenset[str]:
        """All that nobody may see, for the masking of logs."""
        return frozenset(value for reference, value in self._values.items() if reference not in self._open)

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)} hidden)"


def references(config: Configuration | Draft, purposes: frozenset[Purpose]) -> Iterator[tuple[Path, SecretRef]]:
    """The references needed for these purposes, with their paths."""
    security = None if config.kafka is None else config.kafka.security
    if Purpose.KAFKA in purposes and security is not None:
        if security.username_from is not None:
            yield ("kafka", "security", "username_from"), security.username_from
        if security.password is not None:
            yield ("kafka", "security", "password"), security.password
    if Purpose.REGISTRY in purposes and config.registry is not None and config.registry.password is not None:
        yield ("registry", "password"), config.registry.password
    segment = None if config.profiles is None else config.profiles.segment
    if Purpose.ENRICHING in purposes and segment is not None and config.profiles and config.profiles.asks_segment:
        yield ("profiles", "segment", "token"), segment.token
    for name, account in config.accounts.items():
        path: Path = ("accounts", name)
        if Purpose.SENDING in purposes and account.api_key is not None:
            yield (*path, "api_key", "secret"), account.api_key.secret
        sends_by_token = Purpose.SENDING in purposes and account.api_key is None
        if account.auth_token is not None and (sends_by_token or Purpose.SIGNING in purposes):
            yield (*path, "auth_token"), account.auth_token
        if Purpose.SIGNING in purposes:
            for index, token in enumerate(account.signing_tokens):
                yield (*path, "signing_tokens", index), token


def resolve(
    config: Configuration | Draft, purposes: frozenset[Purpose], environment: Mapping[str, str]
) -> tuple[Secrets, list[Problem]]:
    """Read the secrets needed for these purposes. A problem names the variable or file, never a value."""
    values: dict[SecretRef, str] = {}
    problems: list[Problem] = []
    for path, reference in references(config, purposes):
        value, problem = _read(path, reference, environment)
        if problem is not None:
            problems.append(problem)
        elif value is not None:
            values[reference] = value
    user = None if config.kafka is None else config.kafka.security.username_from
    return Secrets(values, frozenset() if user is None else frozenset({user})), problems


def _read(path: Path, reference: SecretRef, environment: Mapping[str, str]) -> tuple[str | None, Problem | None]:
    if reference.env is not None:
        value = environment.get(reference.env)
        if not value:
            state = "is empty" if value == "" else "is not set"
            fix = f"set {reference.env} in the environment of this process."
            return None, Problem(path, f"environment variable {reference.env} {state}.", fix)
        return value, None
    file = FilePath(reference.file or "")
    try:
        value = file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return None, Problem(path, f"file {file} cannot be read: {reason}.", "check path, mount and permissions.")
    if not value:
        return None, Problem(path, f"file {file} is empty.", "write the secret into it.")
    return value, None

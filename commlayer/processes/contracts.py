"""The codec of a process: with a registry the Confluent wire format, without one Avro single-object encoding."""

from __future__ import annotations

import asyncio

import structlog

from commlayer.config import Configuration, Secrets
from connectors.health import Health
from connectors.outage import Outage
from schemas.codec import Codec, RegistryCodec, SingleObjectCodec
from schemas.errors import RegistryUnavailable, SchemaNotRegistered
from schemas.registry import Registry, RegistryLogin

_log = structlog.get_logger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Pauses between questions double: a registry takes a few seconds to start, and is not to be hammered."""


def open_registry(config: Configuration, secrets: Secrets) -> Registry | None:
    """The configured registry, not asked yet; None without one."""
    section = config.registry
    if section is None:
        return None
    login = None
    if section.username is not None and section.password is not None:
        login = RegistryLogin(section.username, secrets.value(section.password))
    return Registry(section.url, login=login, ca_file=section.ca_file)


class Contracts:
    """The codec, and what has to be waited for before it can write.

    Attributes:
        codec: ready after `prepare`.
    """

    def __init__(self, registry: Registry | None) -> None:
        self._outage = Outage("schema registry")
        self._waiting: Health | None = None if registry is None else Health(False, "schema registry not asked yet")
        self.codec: Codec = SingleObjectCodec() if registry is None else RegistryCodec(registry)

    async def prepare(self) -> None:
        """Return once the schema ids of all records are known. A registry that is away, or lacks a schema, is waited
        for: the log says so once, and how to mend it; health says it all the time."""
        if not isinstance(self.codec, RegistryCodec):
            return
        pause_s, said = FIRST_PAUSE_S, False
        while True:
            try:
                await asyncio.to_thread(self.codec.prepare)
            except RegistryUnavailable as error:
                self._outage.began(str(error))
                self._waiting = self._outage.health()
            except SchemaNotRegistered as error:
                self._outage.ended()
                self._waiting = Health(False, str(error))
                if not said:
                    _log.error("waiting for schemas to be registered", why=str(error))
                    said = True
            else:
                self._outage.ended()
                self._waiting = None
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def health(self) -> Health:
        """Whether records can be written."""
        if not self._outage.over:
            return self._outage.health()
        return self._waiting or Health(True)

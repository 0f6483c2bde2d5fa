"""What both publishers share: settings, building requests, the producer's life."""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import phonenumbers

from ._contracts import (
    APP_NAME,
    Cancellation,
    Codec,
    ContractError,
    EncodeError,
    MessageRequest,
    Registry,
    RegistryCodec,
    RegistryLogin,
    SingleObjectCodec,
    message_id_by_key,
    message_id_by_origin,
    request_topic,
)
from .delivery import Delivery, DeliveryEnded, Position, producer_settings
from .errors import Fate, PublishError, PublishTimeout, RegistryUnavailable
from .requests import CancelFields, MessageFields, cancellation, message_request, refusal

QUEUE_FULL_S = 0.02
"""Between tries to hand over a record while the producer's queue is full."""
_TIMEOUT_MIN_S = 1.0  # shorter, a broker's everyday hiccup would leave fates unknown


@dataclass(frozen=True, slots=True)
class Receipt:
    """Kafka holds the request, on all in-sync replicas.

    Attributes:
        message_id: the message's id in every status and in commlayer's log.
        topic, partition, offset: where the request lies.
        idempotency_key: as given or generated; None where the publisher generates none.
    """

    message_id: str
    topic: str
    partition: int
    offset: int
    idempotency_key: str | None


class Outgoing(NamedTuple):
    """A record to publish, and what its sender will want to know about it."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    idempotency_key: str | None
    message_id: str | None


class Publishing:
    """Settings and state of a publisher; `Publisher` and `SyncPublisher` add how one waits."""

    def __init__(
        self,
        app: str,
        bootstrap: str | Sequence[str],
        *,
        config: Mapping[str, Any] | None = None,
        timeout_s: float = 30.0,
        default_region: str | None = None,
        urgent_categories: Collection[str] = (),
        generate_keys: bool = True,
        registry_url: str | None = None,
        registry_login: tuple[str, str] | None = None,
        registry_ca_file: str | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Connects with the first request.

        Args:
            app: name of the app, as configured in commlayer; decides the topic.
            bootstrap: Kafka's addresses, `host:port`.
            config: librdkafka settings to reach it, such as security.protocol and sasl.username.
            timeout_s: how long Kafka may take to acknowledge, at least 1 s.
            default_region: ISO 3166 alpha-2 country of numbers written nationally; without it they are refused.
            urgent_categories: critical categories of this app; they use its urgent topic.
            generate_keys: give a request without idempotency key a random one, so that a retry after PublishTimeout
                (which carries it) is the same message.
            registry_url: schema registry, where commlayer runs with one. Needs `commlayer-client[registry]`.
            registry_login: (user, password) for it.
            registry_ca_file: certificates to trust there.
            clock: epoch milliseconds UTC.

        Safe among threads and event loops. After a fork the child connects anew.

        Raises:
            ValueError: a setting cannot be right.
            ImportError: a registry is named, and `commlayer-client[registry]` is not installed.
        """
        if APP_NAME.fullmatch(app) is None:
            raise ValueError(f"app: {app!r} is no name of an app: lower case letters, digits and -")
        if default_region is not None and default_region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"default_region: {default_region!r} is no ISO 3166 alpha-2 country, such as US")
        if timeout_s < _TIMEOUT_MIN_S:
            raise ValueError(f"timeout_s: at least {_TIMEOUT_MIN_S}")
        self._app = app
        self._settings = producer_settings(bootstrap, config or {}, timeout_s)
        self._timeout_s = timeout_s
        self._default_region = default_region
        self._urgent = frozenset(urgent_categories)
        self._generate_keys = generate_keys
        self._clock = clock
        self._codec: Codec | None = None if registry_url else SingleObjectCodec()
        if registry_url:
            login = RegistryLogin(*registry_login) if registry_login else None
            try:
                self._registry = Registry(registry_url, login=login, ca_file=registry_ca_file)
            except ImportError as error:
                raise ImportError("a schema registry needs: pip install 'commlayer-client[registry]'") from error
        self._delivery: Delivery | None = None
        self._closed = False
        self._lock = threading.Lock()
        _living.add(self)

    def _ready_codec(self) -> Codec:
        """Blocks on the first use with a registry."""
        if self._codec is None:
            codec = RegistryCodec(self._registry)
            try:
                codec.prepare([MessageRequest, Cancellation])
            except ContractError as error:
                raise RegistryUnavailable(str(error), "nothing was published: try again later") from error
            self._codec = codec
        return self._codec

    def _live(self) -> Delivery:
        delivery = self._delivery
        if delivery is not None and not delivery.broken and not self._closed:
            return delivery
        with self._lock:
            if self._closed:
                raise RuntimeError("the publisher is closed")
            if self._delivery is None or self._delivery.broken:
                self._delivery = Delivery(self._settings)
            return self._delivery

    def _topics(self) -> list[str]:
        names = [request_topic(self._app)]
        return [*names, request_topic(self._app, urgent=True)] if self._urgent else names

    def _request(self, codec: Codec, fields: MessageFields) -> Outgoing:
        request = message_request(fields, now_ms=self._clock(), default_region=self._default_region)
        if request.idempotency_key is None and self._generate_keys:
            request.idempotency_key = str(uuid.uuid4())
        urgent = fields.get("urgent")
        topic = request_topic(self._app, urgent=request.category in self._urgent if urgent is None else urgent)
        traceparent = fields.get("traceparent")
        headers = () if traceparent is None else (("traceparent", traceparent.encode()),)
        return self._outgoing(codec, request, topic, request.idempotency_key, None, headers)

    def _cancellation(self, codec: Codec, fields: CancelFields) -> Outgoing:
        record = cancellation(fields, now_ms=self._clock(), default_region=self._default_region)
        topic = request_topic(self._app, urgent=fields.get("urgent", False))
        return self._outgoing(codec, record, topic, record.idempotency_key, record.message_id, ())

    def _outgoing(
        self,
        codec: Codec,
        record: MessageRequest | Cancellation,
        topic: str,
        key: str | None,
        message_id: str | None,
        headers: tuple[tuple[str, bytes], ...],
    ) -> Outgoing:
        try:
            value = codec.encode(record)
        except EncodeError as error:
            raise refusal(error) from None
        if message_id is None and key is not None:
            message_id = message_id_by_key(self._app, record.recipient, key)
        return Outgoing(topic, record.recipient.encode(), value, headers, key, message_id)

    def _submit(self, outgoing: Outgoing) -> Future[Position]:
        while True:
            try:
                return self._live().submit(outgoing.topic, outgoing.key, outgoing.value, outgoing.headers)
            except DeliveryEnded:
                continue  # it broke or was closed just now; _live knows
            except PublishError as error:
                raise named(error, outgoing) from None

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
            delivery = self._delivery
        if delivery is not None:
            delivery.close(self._timeout_s)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it
        if self._delivery is not None:
            self._delivery.forget()
            self._delivery = None


def receipt_of(outgoing: Outgoing, position: Position) -> Receipt:
    """What the sender is told once Kafka holds the record."""
    message_id = outgoing.message_id or message_id_by_origin(*position)
    return Receipt(message_id, *position, outgoing.idempotency_key)


def named(error: PublishError, outgoing: Outgoing) -> PublishError:
    """The error, telling which request it is about."""
    error.idempotency_key = outgoing.idempotency_key
    error.message_id = outgoing.message_id
    return error


def queue_full(outgoing: Outgoing) -> PublishError:
    """What a sender is told whose record the producer would not take in time."""
    error = PublishTimeout("too many requests are waiting for Kafka", "send less at once, or later")
    error.fate = Fate.NOT_PUBLISHED
    return named(error, outgoing)


_living: weakref.WeakSet[Publishing] = weakref.WeakSet()


def _after_fork() -> None:
    for publisher in list(_living):
        publisher._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

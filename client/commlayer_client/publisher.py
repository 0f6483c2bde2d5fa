"""The publishers: message requests of one app, asynchronous (`Publisher`) and synchronous (`SyncPublisher`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Self, Unpack

from ._contracts import Codec
from .delivery import Position, QueueFull
from .errors import PublishError
from .publishing import QUEUE_FULL_S, Outgoing, Publishing, Receipt, named, queue_full, receipt_of
from .requests import CancelFields, MessageFields


class Publisher(Publishing):
    """Publishes message requests of one app from asyncio code; the parameters stand at `__init__`.

        async with Publisher(app="shop", bootstrap="kafka:9092") as publisher:
            receipt = await publisher.send(to="+1 415 555 0123", category="otp", body="Your code is 123456")

    Safe among threads and event loops. A forked child connects anew.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, **fields: Unpack[MessageFields]) -> Receipt:
        """Publish a request and wait until Kafka holds it; `MessageFields` lists the parameters.

        Cancelling the wait does not take the request back.

        Raises:
            InvalidRequest, InvalidRecipient: a field cannot be right.
            NotAuthorized, UnknownTopic, MessageTooLarge: Kafka refuses it.
            PublishTimeout, BrokerUnavailable: no acknowledgement in time; its fate is unknown, and sending again with
                its `idempotency_key` is safe.
            RegistryUnavailable: the schema registry does not answer.
        """
        outgoing = self._request(await self._codec_ready(), fields)
        return await self._published(outgoing)

    async def cancel(self, **fields: Unpack[CancelFields]) -> Receipt:
        """Take a request back; `CancelFields` lists the parameters. What was handed to Twilio already goes out all
        the same. Raises as `send` does."""
        outgoing = self._cancellation(await self._codec_ready(), fields)
        return await self._published(outgoing)

    async def send_many(self, messages: Iterable[MessageFields]) -> list[Receipt | PublishError]:
        """Publish many requests at once; in their order a receipt each, or what `send` would have raised."""
        codec = await self._codec_ready()
        results: list[Receipt | PublishError | asyncio.Task[Receipt]] = []
        for fields in messages:
            try:
                outgoing = self._request(codec, fields)
                future = await self._handed_over(outgoing)
            except PublishError as error:
                results.append(error)
            else:
                results.append(asyncio.ensure_future(_receipt(asyncio.wrap_future(future), outgoing)))
        return [await _settled(result) if isinstance(result, asyncio.Task) else result for result in results]

    async def check(self, timeout_s: float = 10.0) -> None:
        """Ask Kafka about the app's topics: for a readiness probe, or to fail early at start.

        Raises:
            BrokerUnavailable, NotAuthorized, UnknownTopic, RegistryUnavailable: what stands in the way.
        """
        await self._codec_ready()
        await asyncio.to_thread(self._live().check, self._topics(), timeout_s)

    async def close(self) -> None:
        """Wait for what is not acknowledged yet, at most `timeout_s`, and disconnect."""
        await asyncio.to_thread(self._stop)

    async def _codec_ready(self) -> Codec:
        codec = self._codec
        return await asyncio.to_thread(self._ready_codec) if codec is None else codec

    async def _published(self, outgoing: Outgoing) -> Receipt:
        return await _receipt(asyncio.wrap_future(await self._handed_over(outgoing)), outgoing)

    async def _handed_over(self, outgoing: Outgoing) -> Future[Position]:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._submit(outgoing)
            except QueueFull:
                if time.monotonic() > deadline:
                    raise queue_full(outgoing) from None
            await asyncio.sleep(QUEUE_FULL_S)


class SyncPublisher(Publishing):
    """Publishes message requests of one app from code without asyncio; the parameters stand at `__init__`.

        with SyncPublisher(app="shop", bootstrap="kafka:9092") as publisher:
            receipt = publisher.send(to="+1 415 555 0123", category="otp", body="Your code is 123456")

    Safe among threads. A forked child connects anew.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, **fields: Unpack[MessageFields]) -> Receipt:
        """See `Publisher.send`."""
        return self._published(self._request(self._ready_codec(), fields))

    def cancel(self, **fields: Unpack[CancelFields]) -> Receipt:
        """See `Publisher.cancel`."""
        return self._published(self._cancellation(self._ready_codec(), fields))

    def send_many(self, messages: Iterable[MessageFields]) -> list[Receipt | PublishError]:
        """See `Publisher.send_many`."""
        codec = self._ready_codec()
        waiting: list[PublishError | tuple[Future[Position], Outgoing]] = []
        for fields in messages:
            try:
                outgoing = self._request(codec, fields)
                waiting.append((self._handed_over(outgoing), outgoing))
            except PublishError as error:
                waiting.append(error)
        return [one if isinstance(one, PublishError) else _outcome(*one) for one in waiting]

    def check(self, timeout_s: float = 10.0) -> None:
        """See `Publisher.check`."""
        self._ready_codec()
        self._live().check(self._topics(), timeout_s)

    def close(self) -> None:
        """See `Publisher.close`."""
        self._stop()

    def _published(self, outgoing: Outgoing) -> Receipt:
        outcome = _outcome(self._handed_over(outgoing), outgoing)
        if isinstance(outcome, PublishError):
            raise outcome
        return outcome

    def _handed_over(self, outgoing: Outgoing) -> Future[Position]:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._submit(outgoing)
            except QueueFull:
                if time.monotonic() > deadline:
                    raise queue_full(outgoing) from None
            time.sleep(QUEUE_FULL_S)


async def _receipt(acknowledged: asyncio.Future[Position], outgoing: Outgoing) -> Receipt:
    try:
        return receipt_of(outgoing, await acknowledged)
    except PublishError as error:
        raise named(error, outgoing) from None


async def _settled(task: asyncio.Task[Receipt]) -> Receipt | PublishError:
    try:
        return await task
    except PublishError as error:
        return error


def _outcome(acknowledged: Future[Position], outgoing: Outgoing) -> Receipt | PublishError:
    try:
        return receipt_of(outgoing, acknowledged.result())
    except PublishError as error:
        return named(error, outgoing)

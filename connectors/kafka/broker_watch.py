"""Whether the brokers answer, as a producer notices: by acknowledgements, by what librdkafka tells, and by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import KafkaException

from connectors.health import Health
from connectors.outage import Outage

STALLED_S = 2.0
"""A record unacknowledged for so long makes us ask whether the brokers still answer: an ack takes milliseconds."""
_PROBE_INTERVAL_S = 1.0
_SILENCE = "no answer"

_Answer = TypeVar("_Answer")


class BrokerWatch:
    """One producer's. All methods belong to the event loop in which `start` was called.

    Args:
        name: of the producer.
        probe: asks the brokers for something, in a thread of its own; raises KafkaException if none answers.
        oldest_s: for how long the oldest record is unacknowledged, seconds.

    Attributes:
        last_error: what librdkafka told last, since the brokers were last reached.
    """

    def __init__(self, name: str, *, probe: Callable[[], None], oldest_s: Callable[[], float]) -> None:
        self._name = name
        self._probe = probe
        self._oldest_s = oldest_s
        self._outage = Outage("Kafka")
        self._doubt = asyncio.Event()
        self.last_error = _SILENCE

    def start(self) -> None:
        """Begin to watch."""
        self._probes = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{self._name}-probe")
        self._watching = asyncio.create_task(self._watch(), name=f"{self._name}-watch")

    def stop(self) -> None:
        """Watch no more. Does not wait for a probe under way."""
        self._watching.cancel()
        self._probes.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """See at once whether they answer."""
        self._doubt.set()

    async def ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Ask them something else, in the same thread. Raises what `question` does."""
        return await asyncio.get_running_loop().run_in_executor(self._probes, question)

    def trouble(self, why: str) -> None:
        """Something failed: see whether the brokers answer."""
        self.last_error = why
        self._doubt.set()

    def reached(self) -> None:
        """The brokers have answered."""
        self.last_error = _SILENCE
        self._outage.ended()

    def health(self) -> Health:
        """Whether they answer, as far as is known."""
        return self._outage.health()

    async def _watch(self) -> None:
        """Ask when something made us doubt, and until they are back."""
        while True:
            try:
                async with asyncio.timeout(_PROBE_INTERVAL_S):
                    await self._doubt.wait()
            except TimeoutError:
                if self._outage.over and self._oldest_s() < STALLED_S:
                    continue
            self._doubt.clear()
            try:
                await self.ask(self._probe)
            except KafkaException:  # says "transport failure" only; what we were told before is better
                self._outage.began(self.last_error)
                await asyncio.sleep(_PROBE_INTERVAL_S)
            else:
                self.reached()

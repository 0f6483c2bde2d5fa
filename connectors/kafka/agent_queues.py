"""Puts records into the queues of Faust's agents: an event for each, or one for many where the agents of a stage take
batches (received.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from faust.events import Event

from .received import Delivered, Received
from .topic_partition import TP


class AgentQueues:
    """One consumer's.

    Args:
        app: Faust's; which agents read a partition is known once it runs.
        batches: the agents take batches.
        to_message: Faust's message of a record.
        generation: number of the present assignment.
        finish: told partition, offset and generation of a record that needs no further work.
    """

    def __init__(
        self,
        app: Any,
        *,
        batches: bool,
        to_message: Callable[[TP, Any], Any],
        generation: Callable[[], int],
        finish: Callable[[TP, int, int], bool],
    ) -> None:
        self._app = app
        self._batches = batches
        self._to_message = to_message
        self._generation = generation
        self._finish = finish

    def put(self, tp: TP, records: list[Any]) -> None:
        """Put records of a partition, at least one, into the queue of each agent that reads it. Never waits.

        Raises:
            RuntimeError: no agent does.
        """
        channels = self._app.topics._tp_index[tp]
        if not channels:
            raise RuntimeError(f"no agent reads {tp.topic}, which is subscribed")
        if self._batches:
            generation = self._generation()
            batch = [Delivered(Received(tp, record, generation), self._finish) for record in records]
            self._put(channels, self._to_message(tp, records[0]), batch)
            return
        for record in records:
            self._put(channels, self._to_message(tp, record), record.value, record.key, record.headers)

    def _put(self, channels: Collection[Any], message: Any, value: Any, key: Any = None, headers: Any = None) -> None:
        message.refcount = len(channels)
        event = Event(self._app, key, value, headers, message)
        for channel in channels:
            channel.queue.force_put_nowait(event)

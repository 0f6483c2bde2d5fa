"""What became of one message: its records on `comms.feedback.status`."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.records import StatusUpdate
from schemas.topics import FEEDBACK_STATUS

from .topic_reader import TopicReader


def updates(reader: TopicReader, message_id: str, *, until: float | None) -> Iterator[StatusUpdate]:
    """The message's updates in the order of the log.

    Args:
        until: monotonic moment up to which further ones are waited for; None: only those there now.

    Raises:
        KafkaUnreachable, TopicMissing: see there.
        DecodeError, RegistryUnavailable: an update cannot be read.
    """
    for message in reader.of_key(FEEDBACK_STATUS, message_id.encode(), until=until):
        record = reader.decoded(message.value())
        assert isinstance(record, StatusUpdate)  # feedback alone writes here
        yield record

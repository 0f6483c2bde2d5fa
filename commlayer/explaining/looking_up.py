"""Stories from `comms.lifecycle`: of one message, or of one person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from commlayer.topic_reader import Progress, TopicMissing, TopicReader
from schemas.errors import DecodeError
from schemas.records import Callback, LifecycleEvent
from schemas.topics import LIFECYCLE

from . import attempts
from .attempts import Places
from .story import Said, Story, story_of


def of_message(
    reader: TopicReader,
    message_id: str,
    *,
    places: Callable[[], Places] | None = None,
    since_ms: int | None = None,
    progress: Progress | None = None,
) -> Story | None:
    """The story of a message, from the one partition that holds it, with its attempts; None when nothing is known.

    Args:
        places: where attempts lie; asked where something is known. Without it they are not looked for.

    Raises:
        KafkaUnreachable, TopicMissing, RegistryUnavailable: see there.
    """
    said: list[Said] = []
    unreadable = 0
    for message in reader.of_key(LIFECYCLE, message_id.encode(), since_ms=since_ms):
        record = _read(reader, message.value())
        if record is None:
            unreadable += 1
        else:
            said.append(record)
    found, untold = attempts.Found(), None
    if said and places is not None:
        try:
            found = attempts.of_message(reader, message_id, said, places(), progress=progress)
        except TopicMissing as error:
            untold = f"attempts are not shown: {error}"
    if found.unknown:
        untold = f"attempts of lane {', '.join(found.unknown)} are not shown: it is not configured any more"
    return story_of(message_id, said, attempts=found.attempts, unreadable=unreadable, untold=untold)


def of_person(
    reader: TopicReader, recipient: str, *, since_ms: int | None, last: int, progress: Progress | None = None
) -> list[Story]:
    """The newest `last` stories of a number, oldest first. Reads the whole topic: it is keyed by message.

    Args:
        recipient: E.164.

    Raises:
        KafkaUnreachable, TopicMissing, RegistryUnavailable: see there.
    """
    said: dict[str, list[Said]] = {}
    for record in _all(reader, since_ms, progress):
        if record.recipient == recipient or record.message_id in said:
            said.setdefault(record.message_id, []).append(record)
    stories = [story for message_id, records in said.items() if (story := story_of(message_id, records)) is not None]
    return sorted(stories, key=lambda story: story.began_at)[-last:]


def _all(reader: TopicReader, since_ms: int | None, progress: Progress | None) -> Iterator[Said]:
    for message in reader.everything(LIFECYCLE, since_ms=since_ms, progress=progress):
        record = _read(reader, message.value())
        if record is not None:
            yield record


def _read(reader: TopicReader, value: bytes | None) -> Said | None:
    try:
        record = reader.decoded(value or b"")
    except DecodeError:
        return None
    return record if isinstance(record, LifecycleEvent | Callback) else None

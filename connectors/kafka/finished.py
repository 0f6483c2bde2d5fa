"""What is finished beyond the committed offset, written behind the stage's note in the commit's metadata.

One record that takes long (a message in doubt) holds the offset where it is, while thousands behind it are finished.
Without this a restart would deliver all of those again, and the stage tell the end of each once more. Pure.

The format: `|` and lengths of stretches from the committed offset on, by turns of what is not finished and what is:
`|1,9000` is one record that is under way and 9,000 that are finished. What lies beyond the last of them is delivered.
"""

from __future__ import annotations

from .ledger import PartitionLedger

WORTH_NOTING = 100
"""Fewer finished records than this are delivered again: while nothing takes long they change with every commit."""

MOST_CHARS = 1000
"""Kafka refuses metadata of more than 4,096 bytes, and keeps as much for every commit. So many hold the stretches
between more than a hundred records that take long; what lies behind those is delivered again."""

_MARK = "|"


def finished_note(partition: PartitionLedger) -> str:
    """What to write behind the note of the offset that may be committed now; empty where it is not worth it."""
    if partition.finished_ahead() < WORTH_NOTING:
        return ""
    lengths: list[str] = []
    chars, at = 0, partition.committable()
    for stretch in partition.stretches_ahead():
        both = [str(stretch.start - at), str(len(stretch))]
        chars += sum(len(each) + 1 for each in both)
        if chars > MOST_CHARS:
            break
        lengths += both
        at = stretch.stop
    return _MARK + ",".join(lengths) if lengths else ""


def stage_note(metadata: str) -> str:
    """The stage's own note alone."""
    return _split(metadata)[0]


def noted_as_finished(offset: int, metadata: str) -> list[range]:
    """Offsets from the committed one on that are finished, in order."""
    finished, at = [], offset
    lengths = _split(metadata)[1]
    for unfinished, length in zip(lengths[::2], lengths[1::2], strict=True):
        finished.append(range(at + unfinished, at + unfinished + length))
        at += unfinished + length
    return finished


def _split(metadata: str) -> tuple[str, list[int]]:
    note, mark, lengths = metadata.rpartition(_MARK)
    numbers = lengths.split(",")
    if not mark or len(numbers) % 2 or not all(_is_number(each) for each in numbers):
        return metadata, []  # none of ours
    return note, [int(each) for each in numbers]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()

"""What has been committed and what is to be committed next: offset and metadata, always together.

The metadata of an offset is the stage's note on what to read back if reading starts there again (for dispatch: a
position in its attempts log). A newer note beside an older offset hides what the note should lead to, so the two are
taken at one moment and written by one path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .finished import finished_note
from .ledger import Ledger
from .topic_partition import TP


class Commit(NamedTuple):
    """What a group keeps for a partition: the offset of the next record, and a note."""

    offset: int
    metadata: str = ""


class CommitBook:
    """What the broker confirmed for each partition of the present generation."""

    def __init__(self) -> None:
        self._confirmed: dict[TP, Commit] = {}

    def begin(self, confirmed: Mapping[TP, Commit]) -> None:
        """Start a generation with what the group holds; partitions never committed are absent."""
        self._confirmed = dict(confirmed)

    def due(self, ledger: Ledger, position_meta: Callable[[TP, int], str] | None) -> dict[TP, Commit]:
        """What differs from the confirmed state.

        A partition without any commit is due at once, with the offset where reading began: from then on its log start
        can be told from its progress. An unchanged offset is due again when its metadata moved, so that it does not
        pin what is read back after a crash. Behind the note stands what is finished beyond the offset (finished.py).
        """
        due = {}
        for tp, partition in ledger.partitions.items():
            offset = partition.committable()
            confirmed = self._confirmed.get(tp)
            if position_meta is None:
                if confirmed is None or confirmed.offset != offset:
                    due[tp] = Commit(offset)
            else:
                commit = Commit(offset, position_meta(tp, offset) + finished_note(partition))
                if commit != confirmed:
                    due[tp] = commit
        return due

    def confirm(self, commits: Mapping[TP, Commit]) -> None:
        """The broker confirmed these."""
        self._confirmed.update(commits)

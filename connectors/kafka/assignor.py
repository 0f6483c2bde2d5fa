"""Who gets which partitions: Faust's assignor, which keeps equal partitions of several topics together, and in addition
notes with each member's share what it was made for.

Kafka keeps what the leader wrote for a member and gives it to whoever comes back as that member, also when that one
reads other topics by now. From the note it sees so (sharing_out.py). A share without a note is by a version that made
none.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor import PartitionAssignor

_NOTE = "shared_out"
_ASKED = "asked"


class Assignor(PartitionAssignor):  # type: ignore[misc]  # Faust's classes are untyped
    """See the module. Used on the consumer's thread only.

    Attributes:
        made_for: topics that the present share was made for, each with the partitions that were dealt out among the
            group; None before the first one, and where its maker noted nothing.
    """

    def __init__(self, app: Any, replicas: int = 0) -> None:
        super().__init__(app, replicas)
        self.made_for: Mapping[str, int] | None = None
        self._asked = 0

    def ask_anew(self) -> None:
        """Let the next join differ from the one before: brokers share nothing out anew for a member that asks for the
        same again, unless it leads the group."""
        self._asked += 1

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member says of itself when it joins."""
        said = super().metadata(set(topics))
        return ConsumerProtocolMemberMetadata(
            said.version, sorted(topics), json.dumps(json.loads(said.user_data) | {_ASKED: self._asked}).encode()
        )

    def assign(
        self, cluster: Any, member_metadata: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """As the leader of the group: what each member gets."""
        shares = super().assign(cluster, member_metadata)
        for member, share in shares.items():
            topics = member_metadata[member].subscription
            counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
            share.user_data = zlib.compress(json.dumps(_said(share) | {_NOTE: counts}).encode())
        return shares  # type: ignore[no-any-return]  # Faust is untyped

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Take what this member was given. Stock insists that it was made for this host; a member that comes back is
        given what it had, and may come back on another one."""
        said = _said(assignment)
        noted = said.get(_NOTE)
        self.made_for = noted if isinstance(noted, dict) else None
        said["url"] = str(self._url)
        super().on_assignment(
            ConsumerProtocolMemberAssignment(
                assignment.version, assignment.assignment, zlib.compress(json.dumps(said).encode())
            )
        )


def _said(assignment: ConsumerProtocolMemberAssignment) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(zlib.decompress(assignment.user_data))
    return said

"""What a running policy knows of a person, read from Kafka for a rehearsal: it changes nothing there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from commlayer.consents.log import folded, of_person
from commlayer.topic_reader import Progress, TopicReader
from connectors.kafka.partitioning import partition_of
from connectors.kafka.state.envelope import CLAIM_KEY, BadEnvelope, opened
from connectors.kafka.state.fold import Fold
from schemas.records import MessageRequest, PolicyDecision
from schemas.topics import POLICY_STATE
from streams.consent import Ledger
from streams.policy.case import Entry
from streams.policy.config import PolicyConfig
from streams.policy.facts import Facts
from streams.policy.memory import EntryUnreadable, Memory, recipient_of
from streams.policy.openings import Openings
from streams.policy.profile import Profile
from streams.policy.profile_sources import merged, profile_of_record
from streams.policy.switchboard import Switched

NEVER_READ = "quotas: how much of them is used up only the policy processes know"
SEGMENT_NOT_ASKED = "customer data of Segment: give it with --profile"


class _Entries:
    """The state of partitions as it was read; what `Memory` asks for."""

    def __init__(self, entries: Mapping[int, Mapping[bytes, bytes]]) -> None:
        self._entries = entries

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The value."""
        return self._entries.get(partition, {}).get(key)

    def get_all(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The values of several keys."""
        return [self.get(partition, key) for key in keys]

    def scan(self, partition: int, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The entries whose keys begin so, by key."""
        return iter(sorted(each for each in self._entries.get(partition, {}).items() if each[0].startswith(prefix)))

    async def put(self, partition: int, entries: Mapping[bytes, bytes | None]) -> None:
        """Never: a rehearsal writes nothing."""
        raise AssertionError("a rehearsal writes nothing")


@dataclass(frozen=True, slots=True)
class Known:
    """What was read.

    Attributes:
        memory: what policy remembers of the people asked for.
        consent: their consent, by number; of everybody else nothing is known.
        switched: pauses, trouble, failing lanes and backlogs.
    """

    memory: Memory
    consent: Mapping[str, Ledger] = field(default_factory=dict)
    switched: Switched = field(default_factory=Switched)

    def facts(self, request: MessageRequest, entry: Entry, config: PolicyConfig, now_ms: int) -> Facts:
        """What the rules ask, as a running policy would put it together."""
        if entry.home is None or request.recipient not in self.consent:
            return Facts()
        home, recipient = entry.home, request.recipient
        _, last_inbound = self.memory.person(home, recipient)
        earlier = self.earlier(request, entry)
        profile = self.memory.profile(home, recipient) if config.profiles_by_topic else None
        openings = Openings(config.senders.values())
        openings.restore(home, self.memory.openings(home))
        return Facts(
            profile=None if profile is None else profile_of_record(profile),
            ledger=self.consent[recipient],
            past=self.memory.past(home, recipient, without=entry.message_id),
            last_inbound=last_inbound,
            cancelled=self.memory.is_cancelled(home, recipient, entry.message_id, entry.app),
            earlier_digest=None if earlier is None else earlier.digest,
            opened=openings.others(home, recipient, now_ms),
            paused_apps=self.switched.paused_apps,
            unhealthy=self.switched.unhealthy,
            refused=self.switched.refused,
            failing=self.switched.failing,
            backlogs=self.switched.backlogs,
        )

    def earlier(self, request: MessageRequest, entry: Entry) -> PolicyDecision | None:
        """The decision about the message that the request's idempotency key names."""
        if entry.home is None or request.idempotency_key is None:
            return None
        try:
            return self.memory.decision(entry.home, request.recipient, entry.message_id)
        except EntryUnreadable:
            return None  # policy would deny the request


def with_profile(facts: Facts, profile: Profile | None) -> Facts:
    """The facts with customer data that was given by hand; it counts as Segment's answer."""
    return replace(facts, profile=merged(facts.profile, profile))


def read(
    reader: TopicReader, recipients: Iterable[str], switched: Switched, *, progress: Progress | None = None
) -> Known:
    """What is known of these people (E.164).

    Raises:
        KafkaUnreachable, TopicMissing, RegistryUnavailable: see there.
    """
    people = sorted(set(recipients))
    count = reader.partitions(POLICY_STATE)
    homes: dict[int, list[bytes]] = defaultdict(list)
    for person in people:
        homes[partition_of(person.encode(), count)].append(person.encode())
    entries = {
        home: _folded(reader, home, frozenset(wanted), progress=progress) for home, wanted in sorted(homes.items())
    }
    memory = Memory(_Entries(entries))
    consent = {}
    for person in people:
        # Kafka keeps consent for five years and the state for ever; what of it policy folded already changes nothing.
        remembered, _ = memory.person(partition_of(person.encode(), count), person)
        consent[person] = folded(of_person(reader, person), remembered)
    return Known(memory, consent, switched)


def _folded(
    reader: TopicReader, home: int, people: frozenset[bytes], *, progress: Progress | None
) -> Mapping[bytes, bytes]:
    """The entries of these people in a partition, and whom WhatsApp senders wrote to, as its owner folds them."""
    fold = Fold()
    for message in reader.of_partition(POLICY_STATE, home, progress=progress):
        key = message.key() or b""
        if key != CLAIM_KEY and recipient_of(key) not in people and not Memory.is_opening(key):
            continue
        try:
            fold.take(message.offset(), opened(key, message.value(), message.headers()))
        except BadEnvelope:
            continue  # none of policy's, who passes it over as well
    return {key: value for key, value in fold.take_changes().items() if value is not None}

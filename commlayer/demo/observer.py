"""What the demo knows of its run, read from the topics that anybody may read."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.masking import mask_number
from schemas.codec import Codec
from schemas.records import Consent, Inbound, LifecycleEvent, MessageClass, MessageStatus, Record, Stage, StatusUpdate
from schemas.topics import CONSENT, FEEDBACK_INBOUND, FEEDBACK_STATUS, LIFECYCLE

from .balance import FinalStatus
from .view import LaneScene, Reply, Scene

TOPICS = (LIFECYCLE, FEEDBACK_STATUS, FEEDBACK_INBOUND, CONSENT)
RATE_WINDOW_S = 3.0
"""Over so many seconds "sends now" is taken: short enough to look live, long enough for a sender of one a second."""


class Observer:
    """Reads along on a thread of its own. Every method is safe to call from another thread."""

    def __init__(self, bootstrap: str, codec: Codec, rates: Mapping[str, float]) -> None:
        self._codec = codec
        self._rates = rates
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._waiting: dict[str, Counter[str]] = defaultdict(Counter)
        self._waits_in: dict[tuple[str, int], tuple[str, str]] = {}
        self._left: set[tuple[str, int]] = set()
        self._sent: dict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._otp_latency_ms: list[float] = []
        self._statuses: dict[str, StatusUpdate] = {}
        self._replies: deque[Reply] = deque(maxlen=5)
        self._heard_from = 0
        self._opt_outs: set[str] = set()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "demo-observer",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "log_level": 3,
            }
        )
        self._thread = threading.Thread(target=self._read, name="demo-observer", daemon=True)
        self._on_record: dict[type[Record], Callable[[Record], None]] = {
            LifecycleEvent: self._on_step,
            StatusUpdate: self._on_status,
            Inbound: self._on_reply,
            Consent: self._on_consent,
        }

    def start(self) -> None:
        """Begin to read every partition from its beginning."""
        partitions = []
        for topic in TOPICS:
            metadata = self._consumer.list_topics(topic, timeout=10).topics[topic]
            partitions += [TopicPartition(topic, number, 0) for number in metadata.partitions]
        self._consumer.assign(partitions)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def final_statuses(self) -> dict[str, FinalStatus]:
        """How every message ended that has reached a final status."""
        with self._lock:
            return {key: _ended(update) for key, update in self._statuses.items() if update.is_final}

    def replies_seen(self) -> int:
        """How many answers came out on the feedback topic."""
        with self._lock:
            return self._heard_from

    def opted_out(self) -> frozenset[str]:
        """Everyone whose opt-out is on the log."""
        with self._lock:
            return frozenset(self._opt_outs)

    def fill(self, scene: Scene) -> None:
        """Put what is known now into the scene."""
        now = time.monotonic()
        with self._lock:
            scene.lanes = [
                LaneScene(name, rate, self._rate_now(name, now), dict(self._waiting[name]))
                for name, rate in self._rates.items()
            ]
            scene.otp_latency_ms = list(self._otp_latency_ms)
            scene.statuses = Counter(update.status.value for update in self._statuses.values())
            scene.replies = self._replies.copy()
            scene.heard = self._heard_from
            scene.opt_outs = len(self._opt_outs)

    def _rate_now(self, lane: str, now: float) -> float:
        sent = self._sent[lane]
        while sent and sent[0][0] < now - RATE_WINDOW_S:
            sent.popleft()
        return sum(segments for _, segments in sent) / RATE_WINDOW_S

    def _read(self) -> None:
        while not self._stopped.is_set():
            for message in self._consumer.consume(500, timeout=0.1):
                self._take(message)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            return
        value = message.value()
        if value is None:
            return
        record = self._codec.decode(value)
        handle = self._on_record.get(type(record))
        if handle is not None:
            with self._lock:
                handle(record)

    def _on_step(self, event: Record) -> None:
        assert isinstance(event, LifecycleEvent)
        key = (event.message_id, event.round)
        if event.stage is Stage.POLICY and event.status is MessageStatus.ADMITTED:
            if key not in self._left and event.lane and event.message_class:
                self._waits_in[key] = (event.lane, event.message_class.value)
                self._waiting[event.lane][event.message_class.value] += 1
        elif event.stage is Stage.DISPATCH and key not in self._left:
            self._left.add(key)
            waited = self._waits_in.pop(key, None)
            if waited:
                self._waiting[waited[0]][waited[1]] -= 1
            if event.status is MessageStatus.ACCEPTED and event.lane:
                self._sent[event.lane].append((time.monotonic(), event.segments or 1))
                if event.message_class is MessageClass.CRITICAL and event.requested_at is not None:
                    self._otp_latency_ms.append(event.at - event.requested_at)

    def _on_status(self, update: Record) -> None:
        assert isinstance(update, StatusUpdate)
        self._statuses[update.message_id] = update

    def _on_reply(self, inbound: Record) -> None:
        assert isinstance(inbound, Inbound)
        self._heard_from += 1
        intent = inbound.keyword_intent.value if inbound.keyword_intent else None
        self._replies.append(Reply(mask_number(inbound.recipient), inbound.body, intent))

    def _on_consent(self, consent: Record) -> None:
        assert isinstance(consent, Consent)
        if consent.change.value == "opt_out":
            self._opt_outs.add(consent.recipient)


def _ended(update: StatusUpdate) -> FinalStatus:
    reason = update.reason or "" if update.error_code is None else str(update.error_code)
    return FinalStatus(update.status.value, reason)

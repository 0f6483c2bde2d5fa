"""What dispatch counts and measures. Gauges of queues and accounts are read from the scheduler when asked (`watch`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from connectors.tallies import Spread, Spreads, Tallies, Tally

from .backlog import Unread, etas
from .outlook import outlooks
from .scheduler import Scheduler
from .shares import CLASSES

_sent = Tallies("commlayer_dispatch_posts", "POSTs started, by lane and class.", ["lane", "class"])
_segments = Tallies("commlayer_dispatch_segments", "Segments started, by lane.", ["lane"])
_answers = Tallies(
    "commlayer_dispatch_answers",
    "Ends of POSTs, by account, outcome and Twilio's error code.",
    ["account", "outcome", "code"],
)
_ended = Tallies(
    "commlayer_dispatch_ended",
    "Messages that left dispatch, by class, status and reason.",
    ["class", "status", "reason"],
)
_latency = Spreads(
    "commlayer_dispatch_request_to_post_seconds",
    "Time from the app's request to the start of the POST, by class.",
    ["class"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
_wait = Spreads(
    "commlayer_dispatch_wait_seconds",
    "Time from the arrival in dispatch to the start of the POST: INTENT, pace and slots, by class.",
    ["class"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 600),
)
_post = Spreads(
    "commlayer_dispatch_post_seconds",
    "Duration of a POST, by account.",
    ["account"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10),
)
_told_of_people = Counter(
    "commlayer_dispatch_consent",
    "Changes of consent that Twilio's errors brought, by change and code.",
    ["change", "code"],
)
_troubles = Counter(
    "commlayer_dispatch_troubles",
    "Times that a lane, an account, or a lane's messages to one country (lane@country) were held, by Twilio's code.",
    ["what", "name", "code"],
)
joined = Counter("commlayer_dispatch_joined", "Records of a message that was already held.")
tail_age = Gauge(
    "commlayer_dispatch_consent_tail_age_seconds",
    "Changes of consent and cancellations younger than this may be unknown.",
)
doubts_open = Gauge("commlayer_dispatch_doubts_open", "Messages whose answer was lost and not yet found out.")
oldest_doubt = Gauge(
    "commlayer_dispatch_oldest_doubt_seconds", "Time since the oldest INTENT of a message in doubt; 0 with none."
)
doubts_resolved = Counter(
    "commlayer_dispatch_doubts_resolved",
    "Messages no longer in doubt, by what settled it: told_by_log, found_in_list, told_by_callback; or given up: "
    "sent_again, unknown.",
    ["how"],
)
looked_up = Counter(
    "commlayer_dispatch_looked_up",
    "Records looked up in the attempts log before they were sent: flagged as a repeat (again) or received late (late).",
    ["why"],
)
given_back = Counter(
    "commlayer_dispatch_given_back",
    "Messages given back to policy that may not be sent from here, by reason.",
    ["reason"],
)


@lru_cache(maxsize=8192)
def sent(lane: str, message_class: str) -> Tally:
    """The counter of these labels; finding it each time would cost more than counting."""
    return _sent.labels(lane, message_class)


@lru_cache(maxsize=4096)
def segments(lane: str) -> Tally:
    """Segments of a lane."""
    return _segments.labels(lane)


@lru_cache(maxsize=4096)
def answers(account: str, outcome: str, code: str) -> Tally:
    """Answers of one kind."""
    return _answers.labels(account, outcome, code)


@lru_cache(maxsize=256)
def ended(message_class: str, status: str, reason: str) -> Tally:
    """Messages that left in one way."""
    return _ended.labels(message_class, status, reason)


@lru_cache(maxsize=8)
def latency(message_class: str) -> Spread:
    """Request to POST of a class."""
    return _latency.labels(message_class)


@lru_cache(maxsize=8)
def wait(message_class: str) -> Spread:
    """Arrival to POST of a class."""
    return _wait.labels(message_class)


@lru_cache(maxsize=256)
def post(account: str) -> Spread:
    """Duration of POSTs of an account."""
    return _post.labels(account)


@lru_cache(maxsize=256)
def told_of_people(change: str, code: str) -> Counter:
    """Opt-outs and suppressions by code."""
    return _told_of_people.labels(change, code)


def troubles(what: str, name: str, code: str) -> Counter:
    """Holds of one lane or account by one code."""
    return _troubles.labels(what, name, code)


class SchedulerCollector(Collector):
    """Queues, pace and slots as they are at the moment of the question."""

    def __init__(
        self,
        scheduler: Scheduler,
        sending: Callable[[str], float],
        unread: Callable[[], Mapping[tuple[int, int], Unread]] = dict,
        day_caps: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        """`sending` tells the segments per second of a lane over the last seconds; `unread` what lies in Kafka behind
        what is held, by partition and rank of the class; `day_caps` is `DayCounts.show`."""
        self._scheduler = scheduler
        self._sending = sending
        self._unread = unread
        self._day_caps = day_caps

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called by prometheus_client."""
        queued = GaugeMetricFamily(
            "commlayer_dispatch_queued", "Messages held that wait for their slot.", labels=["lane", "class"]
        )
        rate = GaugeMetricFamily("commlayer_dispatch_lane_rate", "Segments per second allowed.", labels=["lane"])
        held = GaugeMetricFamily("commlayer_dispatch_lane_held", "1 while a lane is paused.", labels=["lane"])
        eta = GaugeMetricFamily(
            "commlayer_dispatch_lane_eta_seconds",
            "Until what is held will have left, at the present rates; +Inf while the lane is paused.",
            labels=["lane"],
        )
        utilisation = GaugeMetricFamily(
            "commlayer_dispatch_lane_utilisation", "Segments per second sent, as a share of the rate.", labels=["lane"]
        )
        ahead = outlooks(self._scheduler)
        for name, lane in self._scheduler.lanes.items():
            eta.add_metric([name], ahead[name].eta_s)
            utilisation.add_metric([name], self._sending(name) / lane.pace.bucket.rate)
            for rank, message_class in enumerate(CLASSES):
                queued.add_metric([name, message_class.value], lane.backlog(rank))
            rate.add_metric([name], lane.pace.bucket.rate)
            held.add_metric([name], 0 if lane.breaker.closed else 1)
        in_flight = GaugeMetricFamily("commlayer_dispatch_in_flight", "POSTs under way.", labels=["account"])
        slots = GaugeMetricFamily("commlayer_dispatch_slots", "POSTs that may be under way.", labels=["account"])
        reported = GaugeMetricFamily(
            "commlayer_dispatch_reported_concurrency", "What Twilio last reported for the account.", labels=["account"]
        )
        account_held = GaugeMetricFamily(
            "commlayer_dispatch_account_held", "1 while an account is paused.", labels=["account"]
        )
        for name, account in self._scheduler.accounts.items():
            account_held.add_metric([name], 0 if account.breaker.closed else 1)
            in_flight.add_metric([name], account.concurrency.in_flight)
            slots.add_metric([name], account.concurrency.slots)
            reported.add_metric([name], account.concurrency.reported)
        waiting = GaugeMetricFamily(
            "commlayer_dispatch_carrier_waiting_segments",
            "Segments held that wait for what a carrier grants their group.",
            labels=["group", "carrier"],
        )
        for (group, name), carrier in self._scheduler.carriers.items():
            lanes = (lane for lane in self._scheduler.lanes.values() if lane.carriers.get(name) is carrier)
            waiting.add_metric([group, name], sum(lane.waiting_for(carrier) for lane in lanes))
        refused = GaugeMetricFamily(
            "commlayer_dispatch_country_refused",
            "1 while a lane's messages to a country go back to policy, because Twilio refuses the lane for it.",
            labels=["lane", "country"],
        )
        for lane_name, country, known in self._scheduler.pauses.countries:
            refused.add_metric([lane_name, country], int(known.marked))
        yield refused
        yield from self._behind()
        yield from self._days()
        yield from (waiting, queued, rate, held, eta, utilisation, account_held, in_flight, slots, reported)

    def _days(self) -> Iterator[GaugeMetricFamily]:
        used = GaugeMetricFamily(
            "commlayer_dispatch_day_cap_used_segments",
            "What is used up of what a carrier takes of a brand today (until 00:00 Pacific).",
            labels=["budget", "carrier"],
        )
        cap = GaugeMetricFamily(
            "commlayer_dispatch_day_cap_segments",
            "What a carrier takes of a brand a day.",
            labels=["budget", "carrier"],
        )
        reached = GaugeMetricFamily(
            "commlayer_dispatch_day_cap_reached",
            "1 while a brand's messages to a carrier wait for another day.",
            labels=["budget", "carrier"],
        )
        for each in self._day_caps():
            labels = [each["budget"], each["carrier"]]
            used.add_metric(labels, each["used"])
            cap.add_metric(labels, each["per_day"])
            reached.add_metric(labels, int(each["waits_until"] is not None))
        yield from (used, cap, reached)

    def _behind(self) -> Iterator[GaugeMetricFamily]:
        unread = self._unread()
        records = GaugeMetricFamily(
            "commlayer_dispatch_unread",
            "Messages in Kafka behind what is held, of the partitions served here, at the last look.",
            labels=["partition", "class"],
        )
        for (partition, rank), behind in unread.items():
            records.add_metric([str(partition), CLASSES[rank].value], behind.records)
        new = GaugeMetricFamily(
            "commlayer_dispatch_new_message_eta_seconds",
            "How long a message that is admitted now waits at least, behind all that lies unread; 0 is left out.",
            labels=["lane", "class"],
        )
        for lane, by_class in etas(self._scheduler, unread).items():
            for message_class, eta_s in by_class.items():
                new.add_metric([lane, message_class.value], eta_s)
        yield from (records, new)


def watch(
    scheduler: Scheduler,
    registry: CollectorRegistry = REGISTRY,
    *,
    sending: Callable[[str], float],
    unread: Callable[[], Mapping[tuple[int, int], Unread]] = dict,
    day_caps: Callable[[], list[dict[str, Any]]] = list,
) -> SchedulerCollector:
    """Show a scheduler's state among the metrics, until the collector is unregistered."""
    collector = SchedulerCollector(scheduler, sending, unread, day_caps)
    registry.register(collector)
    return collector

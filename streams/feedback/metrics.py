"""What feedback counts."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from .sender_health import Seen

_facts = Counter("commlayer_feedback_facts", "Facts folded, by who stated them and what.", ["source", "status"])
_updates = Counter("commlayer_feedback_updates", "Changes of state published.", ["status"])
_consequences = Counter(
    "commlayer_feedback_consequences",
    "Records that followed from failed messages, by kind and Twilio's error code.",
    ["kind", "code"],
)
unknown_words = Counter("commlayer_feedback_unknown_words", "Callbacks with a status word that we do not know.")
_inbound = Counter("commlayer_feedback_inbound", "Messages of people passed on, by keyword.", ["keyword"])
delivery_seconds = Histogram(
    "commlayer_feedback_delivery_seconds",
    "From the app's request to the first report of its delivery.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400),
)
searches = Counter("commlayer_feedback_searches", "Searches of the log for what was forgotten here.")
searched = Counter("commlayer_feedback_searched", "Messages searched for.")
restored = Counter("commlayer_feedback_restored", "Facts read back after an assignment.")
forgotten = Counter("commlayer_feedback_forgotten", "Messages forgotten because nothing was said of them, or for room.")
remembered = Gauge("commlayer_feedback_remembered", "Messages remembered.")
_failed_share = Gauge(
    "commlayer_feedback_sender_failed_share",
    "Share of a lane's messages within the window that failed for the sender's sake, of those this process counts.",
    ["lane"],
)
_sender_messages = Gauge(
    "commlayer_feedback_sender_messages", "Messages of a lane within that window, that this process counts.", ["lane"]
)
_sender_avoided = Gauge(
    "commlayer_feedback_sender_avoided", "1 while this process has told policy to avoid a lane.", ["lane"]
)
parked = Gauge("commlayer_feedback_parked", "Facts that wait for more to be known of their message.")


@lru_cache(maxsize=256)
def facts(source: str, status: str) -> Counter:
    """The counter of these labels; finding it each time would cost more than counting."""
    return _facts.labels(source, status)


@lru_cache(maxsize=256)
def consequences(kind: str, code: str) -> Counter:
    """Records of one kind that followed from one code."""
    return _consequences.labels(kind, code)


def sender_health(seen: Seen) -> None:
    """Show what is counted of a lane."""
    _failed_share.labels(seen.lane).set(seen.share)
    _sender_messages.labels(seen.lane).set(seen.messages)
    _sender_avoided.labels(seen.lane).set(seen.avoided)


@lru_cache(maxsize=64)
def updates(status: str) -> Counter:
    """The counter of this status."""
    return _updates.labels(status)


@lru_cache(maxsize=16)
def inbound(keyword: str) -> Counter:
    """The counter of this intent."""
    return _inbound.labels(keyword)

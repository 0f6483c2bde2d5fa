"""The topic catalogue: names, counts and settings as the design has them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import (
    RECORDS,
    Callback,
    Cancellation,
    Dispatch,
    LifecycleEvent,
    MessageClass,
    MessageRequest,
)
from schemas.topics import (
    APP_NAME,
    DEFERRAL_TIERS_MS,
    DISPATCH_ANCHOR,
    FEEDBACK_ANCHOR,
    POLICY_ANCHOR,
    SEGMENT_INDEX_BYTES,
    Count,
    PartitionCounts,
    app_of,
    catalogue,
    deferral_topic,
    dispatch_topic,
    is_urgent,
    request_topic,
)

_DAY_MS = 86_400_000
_TOPICS = {topic.name: topic for topic in catalogue(["shop", "login"])}

_EXPECTED: dict[str, tuple[Count, int | None]] = {
    "comms.requests.login": (Count.RECIPIENT, 7),
    "comms.requests.login.urgent": (Count.RECIPIENT, 7),
    "comms.requests.shop": (Count.RECIPIENT, 7),
    "comms.requests.shop.urgent": (Count.RECIPIENT, 7),
    "comms.profiles": (Count.RECIPIENT, None),
    "comms.consent": (Count.RECIPIENT, 5 * 366),
    "comms.cancellations": (Count.RECIPIENT, 4),
    "comms.inbound": (Count.RECIPIENT, 7),
    "comms.deferred.1s": (Count.RECIPIENT, 7),
    "comms.deferred.10s": (Count.RECIPIENT, 7),
    "comms.deferred.1m": (Count.RECIPIENT, 7),
    "comms.deferred.10m": (Count.RECIPIENT, 7),
    "comms.deferred.1h": (Count.RECIPIENT, 7),
    "comms.deferred.6h": (Count.RECIPIENT, 7),
    "comms.policy.state": (Count.RECIPIENT, None),
    "comms.dispatch.critical": (Count.DISPATCH, 4),
    "comms.dispatch.high": (Count.DISPATCH, 4),
    "comms.dispatch.normal": (Count.DISPATCH, 4),
    "comms.dispatch.bulk": (Count.DISPATCH, 4),
    "comms.attempts": (Count.DISPATCH, 7),
    "comms.control": (Count.CONTROL, None),
    "comms.lifecycle": (Count.LIFECYCLE, 30),
    "comms.feedback.state": (Count.LIFECYCLE, None),
    "comms.conversations": (Count.RECIPIENT, None),
    "comms.feedback.status": (Count.LIFECYCLE, 30),
    "comms.feedback.inbound": (Count.RECIPIENT, 30),
    "comms.feedback.engagement": (Count.LIFECYCLE, 30),
    "comms.dead": (Count.DEAD, 30),
}
"""Topic → kind of count, days kept (None: compacted)."""


def test_the_catalogue_is_complete_and_each_topic_as_designed() -> None:
    assert {
        name: (topic.count, None if topic.retention_ms is None else topic.retention_ms // _DAY_MS)
        for name, topic in _TOPICS.items()
    } == _EXPECTED


@pytest.mark.parametrize("name", _EXPECTED)
def test_settings_say_how_the_topic_is_kept(name: str) -> None:
    settings = _TOPICS[name].settings()
    assert settings["segment.index.bytes"] == str(SEGMENT_INDEX_BYTES)
    days = _EXPECTED[name][1]
    if days is None:
        assert settings["cleanup.policy"] == "compact"
        assert "retention.ms" not in settings
    else:
        assert settings["cleanup.policy"] == "delete"
        assert settings["retention.ms"] == str(days * _DAY_MS)


def test_dispatch_records_tell_when_they_were_appended_whatever_their_writers_clock_says() -> None:
    stamped = {name for name, topic in _TOPICS.items() if "message.timestamp.type" in topic.settings()}
    assert stamped == {dispatch_topic(message_class) for message_class in MessageClass}
    assert all(_TOPICS[name].settings()["message.timestamp.type"] == "LogAppendTime" for name in stamped)


def test_what_every_process_reads_at_its_start_is_compacted_within_hours() -> None:
    assert _TOPICS["comms.control"].settings()["segment.ms"] == "3600000"


@pytest.mark.parametrize("name", ["comms.policy.state", "comms.feedback.state"])
def test_late_writes_to_state_are_not_left_alone_by_compaction(name: str) -> None:
    assert _TOPICS[name].settings()["min.compaction.lag.ms"] == "3600000"


def test_only_records_that_exist_travel_and_state_that_is_not_built_yet_has_none() -> None:
    assert {record for topic in _TOPICS.values() for record in topic.records} == set(RECORDS.values())
    assert _TOPICS["comms.requests.shop"].records == (MessageRequest, Cancellation)
    assert _TOPICS["comms.lifecycle"].records == (LifecycleEvent, Callback)
    assert _TOPICS["comms.dispatch.bulk"].records == (Dispatch,)


def test_writers_name_the_partition_where_the_key_does_not_decide_it() -> None:
    assert {name for name, topic in _TOPICS.items() if topic.explicit} == {
        "comms.attempts",
        "comms.policy.state",
        "comms.conversations",
        *(dispatch_topic(message_class) for message_class in MessageClass),
    }


def test_only_an_app_and_its_proxies_write_its_requests() -> None:
    assert _TOPICS["comms.requests.shop.urgent"].writers == ("app:shop", "gateway", "policy")


def test_partition_counts_by_kind() -> None:
    counts = PartitionCounts(recipient=3, dispatch=5, lifecycle=7, dead=2, control=9)
    assert [counts.of(count) for count in Count] == [3, 5, 7, 9, 2]
    default = PartitionCounts()
    assert (default.recipient, default.dispatch, default.lifecycle, default.dead, default.control) == (16, 64, 16, 4, 1)


def test_anchors_are_topics_of_the_catalogue_with_the_count_of_what_they_anchor() -> None:
    assert _TOPICS[DISPATCH_ANCHOR].count is Count.DISPATCH
    assert _TOPICS[POLICY_ANCHOR].count is Count.RECIPIENT
    assert _TOPICS[FEEDBACK_ANCHOR].count is Count.LIFECYCLE


def test_tiers_wait_as_long_as_their_names_say() -> None:
    units = {"s": 1_000, "m": 60_000, "h": 3_600_000}
    for tier, wait in DEFERRAL_TIERS_MS.items():
        assert wait == int(tier[:-1]) * units[tier[-1]]
        assert deferral_topic(tier) in _TOPICS


@given(app=st.from_regex(APP_NAME, fullmatch=True), urgent=st.booleans())
def test_an_app_is_read_back_from_its_topics(app: str, urgent: bool) -> None:
    topic = request_topic(app, urgent=urgent)
    assert app_of(topic) == app
    assert is_urgent(topic) is urgent


@pytest.mark.parametrize(
    "topic", ["comms.requests.", "comms.requests.Shop", "comms.requests.a.b", "comms.consent", "x.comms.requests.shop"]
)
def test_a_topic_of_no_app_has_none(topic: str) -> None:
    assert app_of(topic) is None
    assert not is_urgent(topic)


def test_consent_is_kept_for_five_years() -> None:
    [consent] = [topic for topic in catalogue(["shop"]) if topic.name == "comms.consent"]
    longest = max(date(year + 5, 3, 1) - date(year, 3, 1) for year in range(2026, 2040))
    assert consent.retention_ms is not None
    assert consent.retention_ms >= longest / timedelta(milliseconds=1)
    assert not consent.compacted  # every change is evidence, not only the latest

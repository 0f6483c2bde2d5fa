"""The story of a message, from records in any order."""

from __future__ import annotations

import random
from typing import Any

from commlayer.explaining.story import Said, Story, story_of
from commlayer.explaining.telling import as_data, lines
from connectors.twilio.errors import ErrorPolicy
from schemas import ids
from schemas.records import (
    Attempt,
    AttemptKind,
    AttemptOutcome,
    Callback,
    CallbackSource,
    Follows,
    LifecycleEvent,
    MessageStatus,
    Stage,
)

ID = "0b7c2f4e-0000-5000-8000-000000000001"
START = 1_700_000_000_000
SID = "SM" + "a" * 32
TO = "+14155550123"


def event(status: MessageStatus, stage: Stage, after_ms: int, **fields: Any) -> LifecycleEvent:
    values: dict[str, Any] = {"round": 0, "app": "shop", "recipient": TO} | fields
    event_id = ids.lifecycle_event_id(ID, values["round"], values.get("attempt"), stage, status)
    return LifecycleEvent(event_id=event_id, message_id=ID, stage=stage, status=status, at=START + after_ms, **values)


def callback(status: str, after_ms: int, **fields: Any) -> Callback:
    return Callback(
        message_id=ID,
        round=1,
        attempt=1,
        source=CallbackSource.STATUS_CALLBACK,
        sid=SID,
        account_sid="AC" + "1" * 32,
        status=status,
        recipient=TO,
        received_at=START + after_ms,
        **fields,
    )


SAID: tuple[Said, ...] = (
    event(
        MessageStatus.DEFERRED, Stage.POLICY, 0, reason="quiet_hours", rule="quiet_hours", rule_version="8/1",
        until=START + 60_000,
    ),
    event(
        MessageStatus.ADMITTED, Stage.POLICY, 60_000, round=1, lane="us", sender="+14155550100", segments=2,
        rule_version="8/1", facts={"country": "US"},
    ),
    event(MessageStatus.ACCEPTED, Stage.DISPATCH, 61_000, round=1, attempt=1, sid=SID),
    callback("sent", 62_000),
    callback("undelivered", 63_000, error_code=30003),
)  # fmt: skip


def told(said: tuple[Said, ...] | list[Said]) -> Story:
    story = story_of(ID, said)
    assert story is not None
    return story


def test_any_order_and_repetition_tells_the_same_story() -> None:
    shuffled = [*SAID, *SAID]
    random.Random(4).shuffle(shuffled)
    errors = ErrorPolicy()
    assert list(lines(told(shuffled), errors)) == list(lines(told(SAID), errors))
    assert [step.round for step in told(shuffled).steps] == [0, 1, 1, 1, 1]


def test_a_story_names_reason_rule_facts_lane_error_and_what_can_be_done() -> None:
    text = "\n".join(lines(told(SAID), ErrorPolicy()))
    for words in (
        "why: quiet_hours: It is quiet hours at a place where the recipient may be.",
        "rule quiet_hours, rules 8/1",
        "lane us, sender +1********00, segments 2",
        "facts: country US",
        "error 30003",
        "now: undelivered (final)",
        "what can be done: ",
        "round 0",
        "  attempt 1",
    ):
        assert words in text
    assert text.index("round 0") < text.index("deferred") < text.index("round 1") < text.index("  attempt 1")


def test_no_number_is_shown_whole_to_people_or_programs() -> None:
    assert TO not in "\n".join(lines(told(SAID), ErrorPolicy()))
    assert TO not in str(as_data(told(SAID), ErrorPolicy()))


def test_a_message_of_which_nothing_was_said_has_no_story() -> None:
    assert story_of(ID, []) is None


def test_a_waiting_message_is_advised_by_its_lane() -> None:
    story = told(SAID[:2])
    assert "commlayer lanes show us" in list(lines(story, ErrorPolicy()))[-1]


def test_every_status_has_advice() -> None:
    for status in MessageStatus:
        story = told([event(status, Stage.DISPATCH, 0)])
        assert as_data(story, ErrorPolicy())["advice"]


def attempt(kind: AttemptKind, number: int, after_ms: int, **fields: Any) -> Attempt:
    return Attempt(
        kind=kind,
        message_id=ID,
        round=1,
        attempt=number,
        source_topic="comms.dispatch.bulk",
        source_offset=7,
        at=START + after_ms,
        lane="us",
        account="main",
        recipient=TO,
        segments=2,
        owner="host-a:17",
        **fields,
    )


THROTTLED = attempt(
    AttemptKind.RESULT, 1, 60_200, outcome=AttemptOutcome.THROTTLED, follows=Follows.RETRY, follows_at=START + 60_900,
    http_status=429, error_code=20429, error_class="throttled", request_id="RQ1", error_message=f"slow down, {TO}",
)  # fmt: skip
ACCEPTED = attempt(
    AttemptKind.RESULT, 2, 61_000, outcome=AttemptOutcome.ACCEPTED, follows=Follows.FINAL, final_status="accepted",
    http_status=201, sid=SID,
)  # fmt: skip
ATTEMPTS = (
    attempt(AttemptKind.INTENT, 1, 60_000),
    THROTTLED,
    attempt(AttemptKind.INTENT, 2, 60_900),
    ACCEPTED,
)


def test_attempts_stand_in_the_story_at_their_time_with_answer_and_what_followed() -> None:
    story = story_of(ID, SAID, attempts=[*reversed(ATTEMPTS), *ATTEMPTS])
    assert story is not None
    text = "\n".join(lines(story, ErrorPolicy()))
    in_order = (
        "policy    admitted",
        "  attempt 1",
        "dispatch  intent",
        "owner host-a:17",
        "dispatch  result throttled",
        "error 20429 (throttled)",
        "then: the next attempt, not before 2023-11-14T22:14:20.900Z",
        "HTTP 429, Twilio-Request-Id RQ1",
        "  attempt 2",
        "dispatch  result accepted",
        "then: this was its end in dispatch (accepted)",
        "twilio    sent",
    )
    places = [text.index(words) for words in in_order]
    assert places == sorted(places), text
    assert text.count("dispatch  intent") == 2, "a record that was read twice is told once"
    assert TO not in text


def test_attempts_change_nothing_of_how_the_message_stands() -> None:
    with_attempts = story_of(ID, SAID, attempts=ATTEMPTS)
    assert with_attempts is not None
    assert with_attempts.now == told(SAID).now


def test_programs_get_each_attempt_as_a_step() -> None:
    story = story_of(ID, SAID, attempts=ATTEMPTS)
    assert story is not None
    steps = [step for step in as_data(story, ErrorPolicy())["steps"] if "result" in step["status"]]
    assert [(each["attempt"], each["outcome"], each["follows"]) for each in steps] == [
        (1, "throttled", "retry"),
        (2, "accepted", "final"),
    ]
    assert steps[0]["detail"] == "slow down, +1********23"


def test_it_is_said_why_attempts_are_missing() -> None:
    story = story_of(ID, SAID, untold="attempts of lane us are not shown: it is not configured any more")
    assert story is not None
    assert "(attempts of lane us are not shown: it is not configured any more)" in list(lines(story, ErrorPolicy()))


def test_the_text_fits_a_terminal_and_what_is_folded_stays_under_its_step() -> None:
    long = event(
        MessageStatus.ACCEPTED, Stage.DISPATCH, 61_000, round=1, attempt=1, sid=SID, lane="us", account="main",
        sender="+14155550100", segments=2, deadline=START, rule_version="15/25227ea68dad/law-2026-11",
    )  # fmt: skip
    shown = list(lines(told([long]), ErrorPolicy()))
    assert max(map(len, shown[:-2])) <= 100
    [folded] = [number for number, line in enumerate(shown) if line.startswith("      lane us, account main")]
    assert shown[folded + 1].startswith(" " * 8)
    assert shown[folded].endswith(",")
    assert all("SID " + SID in line for line in shown if SID in line), "a name stays with its value"
    assert "law-2026-11" in shown[folded + 1]


def test_a_sentence_without_a_comma_is_folded_between_its_words() -> None:
    said = event(MessageStatus.DENIED, Stage.POLICY, 0, reason="quiet_hours", detail="quiet hours are kept there " * 8)
    shown = list(lines(told([said]), ErrorPolicy()))
    assert max(map(len, shown[:-2])) <= 100
    assert "".join(line.replace(" ", "") for line in shown).count("quiethoursarekeptthere") == 8

"""What the attempts log says of a message."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.topic_partition import TP
from schemas.records import Attempt, AttemptKind, AttemptOutcome, Follows, MessageStatus
from streams.dispatch.attempts import Doubtful, Ended, Histories, Retry, State

TOPIC = "comms.dispatch.normal"


def intent(
    attempt: int = 1,
    *,
    message_id: str = "m",
    at: int = 1_000,
    segments: int = 1,
    lane: str = "a",
    offset: int = 7,
    owner: str = "test",
    carrier: str | None = None,
) -> Attempt:
    return Attempt(
        kind=AttemptKind.INTENT,
        message_id=message_id,
        round=0,
        attempt=attempt,
        source_topic=TOPIC,
        source_offset=offset,
        at=at,
        lane=lane,
        account="main",
        recipient="+14155550123",
        segments=segments,
        owner=owner,
        carrier=carrier,
    )


def result(
    attempt: int = 1,
    follows: Follows = Follows.FINAL,
    *,
    outcome: AttemptOutcome = AttemptOutcome.ACCEPTED,
    follows_at: int | None = None,
    sid: str | None = None,
    message_id: str = "m",
    offset: int = 7,
    owner: str = "test",
    answered: bool = True,
) -> Attempt:
    """Of a POST that was answered, or else of a look into Twilio's list."""
    record = intent(attempt, at=2_000, message_id=message_id, offset=offset, owner=owner)
    record.kind = AttemptKind.RESULT
    record.outcome = outcome
    record.follows = follows
    record.follows_at = follows_at
    record.final_status = MessageStatus.ACCEPTED.value if follows is Follows.FINAL else None
    record.sid = sid
    record.twilio_date = 1_500 if answered and sid is not None else None
    return record


def state_of(*records: Attempt) -> State:
    histories = Histories()
    for position, record in enumerate(records):
        histories.add(record, 0, position)
    history = histories.get(("m", 0))
    assert history is not None
    return history.state()


def test_an_intent_alone_is_in_doubt() -> None:
    state = state_of(intent())
    assert isinstance(state, Doubtful)
    assert [each.attempt for each in state.intents] == [1]


def test_a_result_beats_its_intent_in_any_order() -> None:
    assert isinstance(state_of(intent(), result()), Ended)
    assert isinstance(state_of(result(), intent()), Ended), "a paused process may append its INTENT late"


def test_after_a_retry_the_next_attempt_follows_not_before_its_time() -> None:
    state = state_of(intent(), result(follows=Follows.RETRY, follows_at=5_000))
    assert state == Retry(attempt=2, not_before_ms=5_000)


def test_throttled_then_in_doubt_is_in_doubt_by_the_second_attempt_only() -> None:
    state = state_of(intent(1), result(1, Follows.RETRY), intent(2))
    assert isinstance(state, Doubtful)
    assert [each.attempt for each in state.intents] == [2]


def test_a_final_result_ends_it_whatever_else_is_open() -> None:
    state = state_of(intent(1), intent(2), result(2))
    assert isinstance(state, Ended)
    assert state.result.attempt == 2


def test_of_two_owners_that_resolved_one_doubt_the_one_that_found_it_is_believed() -> None:
    gave_up = result(1, Follows.RETRY, outcome=AttemptOutcome.IN_DOUBT)
    found = result(1, sid="SM1")
    for records in itertools.permutations([gave_up, found]):
        state = state_of(intent(), *records)
        assert isinstance(state, Ended)
        assert state.result.sid == "SM1"


def test_what_a_woken_process_did_not_start_says_nothing_of_its_successors_post() -> None:
    """Its INTENT was still on its way when the successor read the log, so both used the same number."""
    records = [
        intent(at=1_000, owner="frozen"),
        intent(at=9_000, owner="successor"),
        result(follows=Follows.RETRY, outcome=AttemptOutcome.NOT_STARTED, owner="frozen"),
    ]
    for ordered in itertools.permutations(records):
        state = state_of(*ordered)
        assert isinstance(state, Doubtful)
        assert [each.owner for each in state.intents] == ["successor"]


@pytest.mark.parametrize("follows", [Follows.WHEEL, Follows.FINAL])
def test_a_woken_process_does_not_end_what_its_successor_may_have_sent(follows: Follows) -> None:
    """A deadline passed, or quiet hours began, while it was frozen."""
    ended_late = result(1, follows, outcome=AttemptOutcome.NOT_STARTED, owner="frozen")
    state = state_of(intent(owner="frozen"), intent(at=9_000, owner="successor"), ended_late)
    assert isinstance(state, Doubtful)
    not_sent = result(1, Follows.RETRY, outcome=AttemptOutcome.IN_DOUBT, owner="third")
    assert state_of(intent(owner="frozen"), intent(at=9_000, owner="successor"), ended_late, not_sent) == Ended(
        ended_late
    )


def test_only_results_of_attempts_that_were_read_tell_that_nothing_was_sent() -> None:
    def not_sent(*records: Attempt) -> Retry | None:
        histories = Histories()
        for position, record in enumerate(records):
            histories.add(record, 0, position)
        history = histories.get(("m", 0))
        assert history is not None
        return history.not_sent([1, 2])

    withheld = [result(attempt, Follows.RETRY, outcome=AttemptOutcome.NOT_STARTED) for attempt in (1, 2)]
    assert not_sent(intent(1), intent(2), *withheld) == Retry(attempt=3, not_before_ms=0)
    assert not_sent(intent(1), intent(2), withheld[0]) is None, "the second is open"
    assert not_sent(intent(2), *withheld) is None, "the first's INTENT, which may be another owner's, was not read"
    looked_for = result(1, Follows.RETRY, outcome=AttemptOutcome.IN_DOUBT)
    assert not_sent(intent(1), intent(2), looked_for, withheld[1]) is None
    assert not_sent(intent(1), intent(2), withheld[0], result(2)) is None


def test_what_any_owner_was_told_by_twilio_closes_the_attempt() -> None:
    throttled = result(1, Follows.RETRY, outcome=AttemptOutcome.THROTTLED, follows_at=5_000, owner="successor")
    late = intent(owner="frozen")
    assert state_of(intent(at=9_000, owner="successor"), throttled, late) == Retry(attempt=2, not_before_ms=5_000)


def test_a_late_answer_is_not_believed_when_the_list_has_given_its_text_to_an_equal_one() -> None:
    """Two equal texts to one person were in doubt, Twilio had one of them: the other is sent again. If the answer that
    was lost comes after all, both would be thought sent, and one never was."""
    doubts = [intent(), intent(message_id="equal", offset=8)]
    given = result(sid="SM1", message_id="equal", offset=8, answered=False, owner="successor")
    again = result(1, Follows.RETRY, outcome=AttemptOutcome.IN_DOUBT, owner="successor")
    late = result(sid="SM1")
    for ordered in itertools.permutations([given, again, late]):
        assert state_of(*doubts, *ordered) == Retry(attempt=2, not_before_ms=0)
    for ordered in itertools.permutations([given, late]):
        state = state_of(*doubts, *ordered)
        assert isinstance(state, Doubtful), "the list decides, which has none left for it"


def test_a_late_answer_is_believed_when_the_equal_text_turns_out_to_have_a_sid_of_its_own() -> None:
    """The list had given it the other's, for it could not know; now each has the one that it made."""
    doubts = [intent(), intent(message_id="equal", offset=8)]
    given = result(sid="SM1", message_id="equal", offset=8, answered=False, owner="successor")
    late = [result(sid="SM1"), result(sid="SM2", message_id="equal", offset=8)]
    for ordered in itertools.permutations([given, *late]):
        state = state_of(*doubts, *ordered)
        assert isinstance(state, Ended)
        assert state.result.sid == "SM1"


@pytest.mark.parametrize(
    "other", [result(2, Follows.WHEEL, outcome=AttemptOutcome.NOT_STARTED), result(2, outcome=AttemptOutcome.REJECTED)]
)
def test_an_attempt_that_twilio_accepted_beats_all_that_is_said_of_others(other: Attempt) -> None:
    """Its answer came late, after another owner had gone on: on the wheel it would be sent again."""
    records = [intent(), intent(2), other, result(sid="SM1")]
    for ordered in itertools.permutations(records):
        state = state_of(*ordered)
        assert isinstance(state, Ended)
        assert state.result.sid == "SM1"


@pytest.mark.parametrize("follows", [Follows.WHEEL, Follows.FINAL])
def test_that_an_attempt_was_accepted_beats_what_another_owner_concluded_of_it(follows: Follows) -> None:
    concluded = result(follows=follows, outcome=AttemptOutcome.IN_DOUBT, owner="other")
    for ordered in itertools.permutations([intent(), concluded, result(sid="SM1")]):
        state = state_of(*ordered)
        assert isinstance(state, Ended)
        assert state.result.sid == "SM1"


def test_a_sid_is_free_again_when_its_message_turns_out_to_have_made_another() -> None:
    histories = Histories()
    given = result(sid="SM1", answered=False)
    histories.add(given, 0, 0)
    assert histories.claims.taken() == {"SM1"}
    histories.add(result(sid="SM2"), 0, 1)
    assert histories.claims.taken() == {"SM2"}


def test_a_sid_from_the_list_is_its_own_messages() -> None:
    state = state_of(intent(), result(sid="SM1", answered=False))
    assert isinstance(state, Ended)


@given(st.permutations([intent(1), result(1, Follows.RETRY), intent(2), result(2)]))
def test_the_order_of_records_does_not_matter(records: list[Attempt]) -> None:
    state = state_of(*records)
    assert isinstance(state, Ended)
    assert state.result.attempt == 2


def test_a_history_is_forgotten_when_its_record_is_committed() -> None:
    histories = Histories()
    histories.add(intent(), 3, 40)
    histories.committed(TP(TOPIC, 3), 7)
    assert len(histories) == 1, "offset 7 itself comes again"
    histories.committed(TP(TOPIC, 4), 99)
    assert len(histories) == 1
    histories.committed(TP(TOPIC, 3), 8)
    assert len(histories) == 0


def test_what_was_taken_is_not_believed_a_second_time() -> None:
    histories = Histories()
    histories.add(intent(), 0, 40)
    assert histories.take(("m", 0)) is not None
    assert histories.take(("m", 0)) is None


@pytest.mark.parametrize("position", [5, 3])
def test_a_history_knows_its_lowest_position(position: int) -> None:
    histories = Histories()
    histories.add(intent(), 0, 5)
    histories.add(result(), 0, position)
    assert histories.all()[0].first_position == min(5, position)


def test_a_person_is_in_doubt_until_each_such_message_has_been_taken_or_does_not_come_again() -> None:
    histories, address = Histories(), ("a", "+14155550123")
    for offset, message_id in enumerate(["first", "second", "ended"]):
        histories.add(intent(message_id=message_id, offset=offset), 0, offset)
    histories.add(result(message_id="ended", offset=2), 0, 3)
    assert histories.in_doubt(address)
    assert not histories.in_doubt(("b", "+14155550123"))
    histories.take(("first", 0))
    assert histories.in_doubt(address)
    histories.committed(TP(TOPIC, 0), 2)
    assert not histories.in_doubt(address)
    histories.add(intent(message_id="third", offset=3), 0, 4)
    assert histories.in_doubt(address)

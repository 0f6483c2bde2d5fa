"""Policy itself fails on a message: that one ends, and nothing else stands still."""

from __future__ import annotations

import pytest

from schemas.reasons import Reason
from schemas.records import Content, DeadLetter, LifecycleEvent, MessageStatus
from streams.policy import decide
from streams.policy.case import Case
from streams.policy.rules import Rule
from streams.policy.verdict import Verdict
from tests.streams.policy.installation import AMERICAN, request
from tests.streams.policy.test_desk import Counter, asked

SECRET = "the body of a message"


def broken(case: Case) -> Verdict:
    raise OverflowError(f"cannot digest {case.request.content.body}")


@pytest.fixture
def _a_broken_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "RULES", (Rule("broken", broken),))


@pytest.mark.usefixtures("_a_broken_rule")
async def test_a_message_on_which_a_rule_fails_is_denied_and_kept_as_a_dead_letter() -> None:
    counter, event = Counter(), asked(request(content=Content(body=SECRET)))
    await counter.serve(event)
    (dead, letter), (lifecycle, told) = counter.written
    assert (dead, lifecycle) == ("comms.dead", "comms.lifecycle")
    assert isinstance(letter, DeadLetter)
    assert isinstance(told, LifecycleEvent)
    assert (told.status, told.reason, told.rule) == (MessageStatus.DENIED, Reason.INTERNAL_ERROR, "decide")
    assert (letter.reason, letter.message_id) == (Reason.INTERNAL_ERROR, told.message_id)
    assert letter.value == event.message.value
    assert event.acked
    for said in (letter.detail, told.detail):
        assert said is not None
        assert "OverflowError at test_defect_at_the_desk.py:" in said
        assert SECRET not in said


async def test_the_others_go_on_and_the_denial_stays_when_the_defect_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    counter, event = Counter(), asked(request())
    with monkeypatch.context() as mending:
        mending.setattr(decide, "RULES", (Rule("broken", broken),))
        await counter.serve(event)
    await counter.serve(asked(request(recipient=AMERICAN)))
    await counter.serve(asked(event.message.value or b""))
    statuses = [record.status for _, record in counter.written if isinstance(record, LifecycleEvent)]
    assert statuses == [MessageStatus.DENIED, MessageStatus.ADMITTED, MessageStatus.DENIED]


@pytest.mark.usefixtures("_a_broken_rule")
async def test_a_defect_is_told_by_the_owner_alone() -> None:
    counter, event = Counter(lost_at=2), asked(request())
    await counter.serve(event)
    assert counter.written == []
    assert not event.acked

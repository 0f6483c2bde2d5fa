"""The closing line tells the truth, above all when something went wrong."""

from __future__ import annotations

import pytest

from commlayer.demo.balance import BookEntry, FinalStatus, balance
from commlayer.demo.plan import Fate, PlannedMessage


def planned(key: str, fate: Fate = Fate.DELIVERED, reason: str = "") -> PlannedMessage:
    return PlannedMessage(
        at_s=0, app="shop", to=f"+1{key}", category="marketing", body="hi", key=key, fate=fate, reason=reason
    )


REQUESTED = {
    "m1": planned("1"),
    "m2": planned("2", Fate.UNDELIVERED, "30003"),
    "m3": planned("3", Fate.REFUSED, "21614"),
    "m4": planned("4", Fate.DENIED, "opted_out"),
}
ACCEPTED = [BookEntry("m1", "delivered"), BookEntry("m2", "undelivered")]
REFUSED = ["m3"]
STATUSES = {
    "m1": FinalStatus("delivered"),
    "m2": FinalStatus("undelivered", "30003"),
    "m3": FinalStatus("failed", "21614"),
    "m4": FinalStatus("denied", "opted_out"),
}


def test_when_everything_goes_as_planned_the_books_balance() -> None:
    result = balance(REQUESTED, ACCEPTED, REFUSED, STATUSES)
    assert (result.requested, result.delivered, result.failed_as_planned) == (4, 1, 3)
    assert (result.lost, result.duplicated, result.surprises) == (0, 0, ())
    assert result.balanced
    assert result.line() == "demo: 4 requested, 1 delivered, 3 failed as planned, 0 lost, 0 duplicated"


@pytest.mark.parametrize(
    ("accepted", "refused", "statuses", "lost", "duplicated"),
    [
        pytest.param(ACCEPTED[1:], REFUSED, STATUSES, 1, 0, id="a message never reached the twin"),
        pytest.param([*ACCEPTED, ACCEPTED[0]], REFUSED, STATUSES, 0, 1, id="a message was sent twice"),
        pytest.param(ACCEPTED, REFUSED * 2, STATUSES, 0, 1, id="a refused message was tried twice"),
        pytest.param(ACCEPTED, [], STATUSES, 1, 0, id="a message that should be refused was never tried"),
        pytest.param(
            ACCEPTED, REFUSED, {**STATUSES, "m4": FinalStatus("admitted")}, 1, 0, id="a message stays without outcome"
        ),
        pytest.param([BookEntry("m1", "sent"), ACCEPTED[1]], REFUSED, STATUSES, 1, 0, id="Twilio never got to an end"),
        pytest.param(
            ACCEPTED, REFUSED, {**STATUSES, "m1": FinalStatus("sent")}, 0, 0, id="feedback never learnt of the delivery"
        ),
        pytest.param([*ACCEPTED, BookEntry("x", "delivered")], REFUSED, STATUSES, 0, 0, id="a stranger"),
        pytest.param([*ACCEPTED, BookEntry("m4", "delivered")], REFUSED, STATUSES, 0, 0, id="denied, yet sent"),
    ],
)
def test_what_went_wrong_keeps_the_books_from_balancing(
    accepted: list[BookEntry], refused: list[str], statuses: dict[str, FinalStatus], lost: int, duplicated: int
) -> None:
    result = balance(REQUESTED, accepted, refused, statuses)
    assert not result.balanced
    assert (result.lost, result.duplicated) == (lost, duplicated)


@pytest.mark.parametrize(
    ("message_id", "ended", "surprise"),
    [
        pytest.param(
            "m4",
            FinalStatus("denied", "frequency_cap"),
            "4: denied for frequency_cap, planned for opted_out",
            id="denied by another rule",
        ),
        pytest.param(
            "m4", FinalStatus("denied"), "4: denied for no reason, planned for opted_out", id="denied without a reason"
        ),
        pytest.param(
            "m2",
            FinalStatus("undelivered", "30007"),
            "2: undelivered for 30007, planned for 30003",
            id="another error code",
        ),
    ],
)
def test_the_right_end_for_a_wrong_reason_is_a_surprise(message_id: str, ended: FinalStatus, surprise: str) -> None:
    result = balance(REQUESTED, ACCEPTED, REFUSED, STATUSES | {message_id: ended})
    assert result.surprises == (surprise,)
    assert not result.balanced
    assert (result.lost, result.failed_as_planned) == (0, 2)


def test_what_failed_as_planned_is_counted_by_fate_and_reason() -> None:
    result = balance(REQUESTED, ACCEPTED, REFUSED, STATUSES)
    assert result.by_reason == {
        (Fate.UNDELIVERED, "30003"): 1,
        (Fate.REFUSED, "21614"): 1,
        (Fate.DENIED, "opted_out"): 1,
    }

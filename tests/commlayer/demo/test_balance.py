"""The closing line tells the truth, above all when something went wrong."""

from __future__ import annotations

import pytest

from commlayer.demo.balance import Balance, BookEntry, balance
from commlayer.demo.plan import Fate, PlannedMessage


def planned(key: str, fate: Fate = Fate.DELIVERED) -> PlannedMessage:
    return PlannedMessage(at_s=0, app="shop", to=f"+1{key}", category="marketing", body="hi", key=key, fate=fate)


REQUESTED = {
    "m1": planned("1"),
    "m2": planned("2", Fate.UNDELIVERED),
    "m3": planned("3", Fate.REFUSED),
    "m4": planned("4", Fate.DENIED),
}
ACCEPTED = [BookEntry("m1", "delivered"), BookEntry("m2", "undelivered")]
REFUSED = ["m3"]
STATUSES = {"m1": "delivered", "m2": "undelivered", "m3": "failed", "m4": "denied"}


def test_when_everything_goes_as_planned_the_books_balance() -> None:
    result = balance(REQUESTED, ACCEPTED, REFUSED, STATUSES)
    assert result == Balance(requested=4, delivered=1, failed_as_planned=3, lost=0, duplicated=0, surprises=())
    assert result.balanced
    assert result.line() == "demo: 4 requested, 1 delivered, 3 failed as planned, 0 lost, 0 duplicated"


@pytest.mark.parametrize(
    ("accepted", "refused", "statuses", "lost", "duplicated"),
    [
        pytest.param(ACCEPTED[1:], REFUSED, STATUSES, 1, 0, id="a message never reached the twin"),
        pytest.param([*ACCEPTED, ACCEPTED[0]], REFUSED, STATUSES, 0, 1, id="a message was sent twice"),
        pytest.param(ACCEPTED, REFUSED * 2, STATUSES, 0, 1, id="a refused message was tried twice"),
        pytest.param(ACCEPTED, [], STATUSES, 1, 0, id="a message that should be refused was never tried"),
        pytest.param(ACCEPTED, REFUSED, {**STATUSES, "m4": "admitted"}, 1, 0, id="a message stays without outcome"),
        pytest.param([BookEntry("m1", "sent"), ACCEPTED[1]], REFUSED, STATUSES, 1, 0, id="Twilio never got to an end"),
        pytest.param(ACCEPTED, REFUSED, {**STATUSES, "m1": "sent"}, 0, 0, id="feedback never learnt of the delivery"),
        pytest.param([*ACCEPTED, BookEntry("x", "delivered")], REFUSED, STATUSES, 0, 0, id="a stranger"),
        pytest.param([*ACCEPTED, BookEntry("m4", "delivered")], REFUSED, STATUSES, 0, 0, id="denied, yet sent"),
    ],
)
def test_what_went_wrong_keeps_the_books_from_balancing(
    accepted: list[BookEntry], refused: list[str], statuses: dict[str, str], lost: int, duplicated: int
) -> None:
    result = balance(REQUESTED, accepted, refused, statuses)
    assert not result.balanced
    assert (result.lost, result.duplicated) == (lost, duplicated)

"""A brand's days at carriers, from the configuration and what stands on `comms.control`; and the record that opens one
again: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commlayer.config.suggest import instead
from connectors.twilio.carriers import Carriers
from schemas.records import Control
from streams.control.day_caps import Capped
from streams.control.days import Days, DayState
from streams.dispatch.lanes import Budget

from .orders import Refused, Word


@dataclass(frozen=True, slots=True)
class Day:
    """Today, of one brand at one carrier.

    Attributes:
        ended: what Twilio said that holds the carrier's messages now.
        reopened: an operator's word that it is open again.
    """

    budget: str
    carrier: str
    state: DayState
    ended: Control | None
    reopened: Control | None


def days(budgets: Mapping[str, Budget], said: Days, now_ms: int) -> list[Day]:
    """Every day that is counted, or of which somebody has said something."""
    counted = [(name, carrier) for name, budget in budgets.items() for carrier in budget.day_caps]
    others = sorted(said.named(now_ms) - set(counted))
    return [_day(budgets, said, capped, now_ms) for capped in (*counted, *others)]


def day(budgets: Mapping[str, Budget], carriers: Carriers, said: Days, capped: Capped, now_ms: int) -> Day:
    """One of them, by the names that an operator gave. Raises Refused."""
    budget, carrier = capped
    if capped not in said.named(now_ms):
        if budget not in budgets:
            raise Refused(f"no budget is called `{budget}`.", instead(budget, budgets, otherwise="configure it."))
        if carrier not in carriers.names:
            fix = instead(carrier, carriers.names, otherwise="write our name for it.")
            raise Refused(f"no carrier is called `{carrier}`.", fix)
    return _day(budgets, said, capped, now_ms)


def reopen(today: Day, said: Days, word: Word, used: int | None) -> tuple[bytes, Control]:
    """Key and record that open a day again.

    Args:
        used: segments that are used up; as if it had just begun where it is None.

    Raises:
        Refused: nothing holds it, and nobody said that its count is wrong.
    """
    capped = (today.budget, today.carrier)
    if used is None and today.state.waits_until is None:
        raise Refused(
            f"the day of {today.budget} at {today.carrier} is open.", "`--used N` says how much of it is used up."
        )
    return said.reopening(capped, used=used or 0, by=word.by, reason=word.reason, at=word.at)


def _day(budgets: Mapping[str, Budget], said: Days, capped: Capped, now_ms: int) -> Day:
    budget, carrier = capped
    cap = budgets[budget].day_caps.get(carrier) if budget in budgets else None
    state = said.state(
        capped,
        said.counted(capped, now_ms),
        now_ms,
        per_day=None if cap is None else cap.segments,
        kept_for_critical=0 if cap is None else cap.kept_for_critical,
    )
    return Day(budget, carrier, state, said.ended(capped, now_ms), said.reopened(capped, now_ms))

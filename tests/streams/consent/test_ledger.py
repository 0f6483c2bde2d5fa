"""The fold of one person's consent: the precedence table of docs/consent.md, row by row, and a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Channel, Consent, ConsentChange, ConsentScope, ConsentSource
from streams.consent import About, Ledger
from streams.consent.scopes import within

IN, OUT, SUPPRESS, UNSUPPRESS = ConsentChange
NOW = 1_000_000
ADDRESS = "+15005550001"
VALUES: dict[ConsentScope, tuple[str | None, ...]] = {
    ConsentScope.ALL: (None,),
    ConsentScope.BRAND: ("acme", "other"),
    ConsentScope.CATEGORY: ("marketing", "service"),
    ConsentScope.CHANNEL: ("sms", "whatsapp"),
    ConsentScope.MESSAGING_SERVICE: ("MG" + "1" * 32,),
    ConsentScope.SENDER: (ADDRESS, "+15005550002"),
}
MESSAGE = About(channel=Channel.SMS, category="marketing", sender="promo", address=ADDRESS, brand="acme")


def record(change: ConsentChange, scope: str = "all", value: str | None = None, **changes: Any) -> Consent:
    kind = ConsentScope(scope)
    fields: dict[str, Any] = {
        "consent_id": "c",
        "recipient": "+14155550123",
        "change": change,
        "scope": kind,
        "scope_value": value if value is not None else VALUES[kind][0],
        "source": ConsentSource.KEYWORD,
        "at": 1,
    }
    return Consent(**{**fields, **changes})


def folded(*records: Consent) -> Ledger:
    ledger = Ledger()
    for position, each in enumerate(records):
        ledger = ledger.folded(each, position)
    return ledger


def imported(change: ConsentChange, at: int, scope: str = "all", **changes: Any) -> Consent:
    return record(change, scope, at=at, source=ConsentSource.IMPORT, **changes)


def test_an_opt_out_from_the_future_happened_when_it_was_written_and_can_be_lifted() -> None:
    out = Ledger().folded(record(OUT, at=9_000_000), 0, 5_000)
    assert out.opted_out(MESSAGE, NOW) is not None
    assert out.folded(record(IN, at=6_000), 1, 6_000).opted_out(MESSAGE, NOW) is None


def test_a_stranger_has_neither_opted_in_nor_out() -> None:
    ledger = Ledger()
    assert (ledger.opted_in(MESSAGE, NOW), ledger.opted_out(MESSAGE, NOW), ledger.suppressed(MESSAGE, NOW)) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("records", "out"),
    [
        # Same scope: the later wins.
        ([record(IN, "sender"), record(OUT, "sender")], True),
        ([record(OUT, "sender"), record(IN, "sender")], False),
        # An opt-out wins over every older opt-in, wider, narrower or crossing.
        ([record(IN), record(OUT, "sender")], True),
        ([record(IN, "category"), record(OUT)], True),
        ([record(IN, "category"), record(OUT, "sender")], True),
        # A newer opt-in of narrower scope lifts it for what it covers.
        ([record(OUT), record(IN, "category")], False),
        ([record(OUT, "brand"), record(IN, "sender")], False),
        ([record(OUT), record(IN, "category", "service")], True),
        # A newer opt-in of wider or crossing scope does not.
        ([record(OUT, "sender"), record(IN)], True),
        ([record(OUT, "sender"), record(IN, "brand")], True),
        ([record(OUT, "channel"), record(IN, "sender")], True),
        ([record(OUT, "category"), record(IN, "sender")], True),
        # Two opt-outs: each must be lifted.
        ([record(OUT), record(OUT, "sender"), record(IN, "sender")], False),
        ([record(OUT, "category"), record(OUT, "sender"), record(IN, "sender")], True),
        # Expiry: what has ended is as if it had never been.
        ([record(OUT, expires_at=NOW)], False),
        ([record(OUT, expires_at=NOW + 1)], True),
        ([record(OUT), record(IN, expires_at=NOW)], True),
        ([record(OUT), record(OUT, expires_at=NOW)], True),
        ([record(OUT), record(IN), record(OUT, expires_at=NOW)], False),
        # A yes that was only written down later than a no does not lift it; a no counts whenever it happened.
        ([record(OUT, at=500), imported(IN, 400)], True),
        ([record(OUT, at=500), imported(IN, 600)], False),
        ([record(OUT, at=500), imported(OUT, 50), imported(IN, 400)], True),
        ([record(OUT, at=500), record(IN, at=600), imported(IN, 400)], False),
        ([imported(IN, 600), imported(OUT, 400)], True),
        # A START that was held up lifts no STOP that is newer than it; clocks of two bridges may differ a little.
        ([record(OUT, at=9_000), record(IN, at=7_001)], False),
        ([record(OUT, at=9_000), record(IN, at=7_000)], True),
        ([record(IN, at=9_000), record(OUT, at=9_500), record(IN, at=5_000)], True),
        ([imported(OUT, 8_000), imported(IN, 9_000), record(IN, at=6_000)], False),
    ],
)
def test_every_row_of_the_precedence_table(records: list[Consent], out: bool) -> None:
    assert (folded(*records).opted_out(MESSAGE, NOW) is not None) is out


@pytest.mark.parametrize(
    ("records", "suppressed"),
    [
        ([record(SUPPRESS)], True),
        ([record(SUPPRESS), record(IN)], True),
        ([record(SUPPRESS), record(UNSUPPRESS)], False),
        ([record(SUPPRESS, "channel"), record(UNSUPPRESS)], False),
        ([record(SUPPRESS), record(UNSUPPRESS, "sender")], False),
        ([record(SUPPRESS, "channel"), record(UNSUPPRESS, "sender")], True),
        ([record(UNSUPPRESS), record(SUPPRESS)], True),
        ([record(SUPPRESS, expires_at=NOW)], False),
        ([record(OUT)], False),
    ],
)
def test_a_suppression_is_lifted_only_by_lifting_it(records: list[Consent], suppressed: bool) -> None:
    assert (folded(*records).suppressed(MESSAGE, NOW) is not None) is suppressed


def test_an_opt_in_counts_where_it_reaches_and_until_it_ends() -> None:
    assert folded(record(IN, "category")).opted_in(MESSAGE, NOW) is not None
    assert folded(record(IN, "category", "service")).opted_in(MESSAGE, NOW) is None
    assert folded(record(IN, expires_at=NOW)).opted_in(MESSAGE, NOW) is None


def test_an_opt_out_from_a_whatsapp_address_holds_on_all_channels_of_the_number() -> None:
    assert folded(record(OUT, "sender", f"whatsapp:{ADDRESS}")).opted_out(MESSAGE, NOW) is not None


def test_what_cannot_be_read_is_an_opt_out_from_everything_until_an_operator_repairs_it() -> None:
    ledger = folded(record(IN)).with_unreadable(1)
    assert ledger.opted_out(MESSAGE, NOW) is not None
    ledger = ledger.folded(record(IN), 2)
    assert ledger.opted_out(MESSAGE, NOW) is not None, "only an operator repairs"
    ledger = ledger.folded(record(IN, source=ConsentSource.OPERATOR, at=2), 3)
    assert ledger.opted_out(MESSAGE, NOW) is None
    assert ledger.with_unreadable(1) == ledger, "it was folded before"


def test_what_is_known_of_another_log_is_older_than_all_that_stands_in_this_one() -> None:
    known = folded(record(OUT), record(IN), record(OUT, "category")).with_unreadable(3).before_another_log()
    assert known.position == -1
    assert known.unreadable is not None
    assert [entry.position for entry in known.entries] == [-4, -3, -2]
    assert known.before_another_log() == known
    assert Ledger.from_bytes(known.to_bytes()) == known
    known = known.folded(record(IN, "category", source=ConsentSource.OPERATOR, at=2), 0)
    assert known.opted_out(MESSAGE, NOW) is None
    assert Ledger().before_another_log() == Ledger()


def test_an_entry_leads_to_its_position() -> None:
    entry = folded(record(IN), record(OUT, "sender")).opted_out(MESSAGE, NOW)
    assert entry is not None
    assert entry.position == 1


@pytest.mark.parametrize("data", [b"", b"no", b"[]", b"[2,0,null,[]]", b"[1,0,null,[[9,0,null,0,0,null,0]]]", b"7"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        Ledger.from_bytes(data)


@st.composite
def changes(draw: st.DrawFn) -> Consent | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    scope = draw(st.sampled_from(ConsentScope))
    source = draw(st.sampled_from([ConsentSource.KEYWORD, ConsentSource.IMPORT, ConsentSource.OPERATOR]))
    return record(
        draw(st.sampled_from(ConsentChange)),
        scope.value,
        draw(st.sampled_from(VALUES[scope])),
        source=source,
        at=draw(st.integers(0, 20)),
        expires_at=draw(st.none() | st.integers(NOW - 2, NOW + 2)),
    )


def deliver(ledger: Ledger, log: list[Consent | None], start: int, end: int) -> Ledger:
    for position in range(start, end):
        each = log[position]
        ledger = ledger.with_unreadable(position) if each is None else ledger.folded(each, position)
    return ledger


@given(st.lists(changes(), max_size=12), st.data())
def test_repeated_delivery_of_any_part_changes_nothing(log: list[Consent | None], data: st.DataObject) -> None:
    once = deliver(Ledger(), log, 0, len(log))
    again, reached = Ledger(), 0
    while reached < len(log):
        start = data.draw(st.integers(0, reached))
        end = data.draw(st.integers(reached + 1, len(log)))
        again, reached = deliver(again, log, start, end), end
    start = data.draw(st.integers(0, len(log)))
    again = deliver(again, log, start, data.draw(st.integers(start, len(log))))
    assert again == once
    assert Ledger.from_bytes(once.to_bytes()) == once


def stands(log: list[Consent], change: ConsentChange, lifted_by: ConsentChange) -> bool:
    """By the whole history instead of the latest of each scope: some no covers, and no later yes reaches it."""

    def lifts(yes: Consent, no: Consent) -> bool:
        same = (yes.scope, yes.scope_value) == (no.scope, no.scope_value)
        narrower = within(yes.scope, no.scope)
        return same or narrower or (lifted_by is UNSUPPRESS and within(no.scope, yes.scope))

    def touches(each: Consent) -> bool:
        mine = {
            ConsentScope.ALL: None,
            ConsentScope.BRAND: "acme",
            ConsentScope.CATEGORY: "marketing",
            ConsentScope.CHANNEL: "sms",
            ConsentScope.SENDER: ADDRESS,
        }
        return each.scope in mine and each.scope_value == mine[each.scope]

    return any(
        no.change is change
        and touches(no)
        and not any(yes.change is lifted_by and touches(yes) and lifts(yes, no) for yes in log[place + 1 :])
        for place, no in enumerate(log)
    )


@st.composite
def words(draw: st.DrawFn) -> Consent:
    scope = draw(st.sampled_from(ConsentScope))
    return record(draw(st.sampled_from(ConsentChange)), scope.value, draw(st.sampled_from(VALUES[scope])))


@given(st.lists(words(), max_size=10))
def test_the_latest_of_each_scope_says_what_the_whole_history_says(log: list[Consent]) -> None:
    ledger = folded(*log)
    assert (ledger.opted_out(MESSAGE, NOW) is not None) is stands(log, OUT, IN)
    assert (ledger.suppressed(MESSAGE, NOW) is not None) is stands(log, SUPPRESS, UNSUPPRESS)


@pytest.mark.parametrize(
    ("records", "standing"),
    [
        ([record(OUT)], [OUT]),
        ([record(OUT), record(IN)], [IN]),
        ([record(IN), record(OUT)], [OUT]),
        ([record(OUT, "sender"), record(IN)], [OUT, IN]),  # a general yes does not undo a particular no
        ([record(OUT), record(IN, "category")], [OUT, IN]),
        ([record(IN, "category"), record(OUT)], [OUT]),
        ([record(SUPPRESS, "channel"), record(UNSUPPRESS)], []),
        ([record(SUPPRESS), record(UNSUPPRESS, "channel")], [SUPPRESS]),
        ([record(SUPPRESS), record(IN)], [SUPPRESS, IN]),
        ([record(OUT, expires_at=NOW)], []),
        ([record(OUT), record(IN, expires_at=NOW)], [OUT]),
        ([imported(OUT, 5), imported(IN, 4)], [OUT]),
    ],
)
def test_what_stands_is_what_nothing_later_lifted_whole(records: list[Consent], standing: list[ConsentChange]) -> None:
    assert [entry.change for entry in folded(*records).standing(NOW)] == standing

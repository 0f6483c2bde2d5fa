"""Ids are promises: the same input is the same id in every version and on every machine."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import (
    consent_id,
    lifecycle_event_id,
    message_id_by_key,
    message_id_by_origin,
    message_id_by_reused_origin,
)


def test_ids_of_known_input_never_change() -> None:
    assert message_id_by_key("shop", "+14155550123", "order-1") == "e97829a3-be28-53c6-ab23-1b825f6684fd"
    assert message_id_by_origin("comms.requests.shop", 3, 42) == "0b61f1be-5e25-5772-85b3-b2e634bc9550"
    assert (
        message_id_by_reused_origin("comms.requests.shop", 3, 42, 1_800_000_000_000)
        == "41005446-f50f-595a-8960-11073382d9dd"
    )
    assert lifecycle_event_id("m-1", 0, None, "policy", "admitted") == "ce9d195d-ba95-53f6-83f4-05519888def4"
    assert lifecycle_event_id("m-1", 2, 1, "dispatch", "accepted") == "767b9b14-70da-513b-8df1-fa38f45c3f12"
    assert consent_id("+14155550123", "opt_out", "SM1") == "01a4ecdd-ec66-57a7-ab2a-67787b2ba6fc"


_part = st.text(max_size=6)


@given(_part, _part, _part)
def test_every_id_is_a_name_based_uuid(app: str, recipient: str, key: str) -> None:
    name = "".join(f"{len(part)}:{part}" for part in ("key", app, recipient, key))
    expected = uuid.uuid5(uuid.UUID("6d8a3f0e-5f0b-5c1e-9a53-1f3f6c7d2b11"), name)
    assert message_id_by_key(app, recipient, key) == str(expected)


@given(st.tuples(_part, _part, _part), st.tuples(_part, _part, _part))
def test_different_input_has_different_ids_however_it_is_cut(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (message_id_by_key(*one) == message_id_by_key(*other)) == (one == other)


def test_a_key_and_an_origin_of_the_same_words_differ() -> None:
    assert message_id_by_key("t", "1", "2") != message_id_by_origin("t", 1, 2)

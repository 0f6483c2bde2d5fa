from __future__ import annotations

import pytest

from streams.policy.config import AppGrants
from tests.streams.policy.installation import config


def test_names_that_lead_nowhere_are_all_told_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        config(
            apps={"a": AppGrants(name="a", categories=frozenset({"nope"}), pools=("gone",), senders=("lost",))},
            pools={"campaigns": ("nobody",)},
        )
    for name in ("nope", "gone", "lost", "nobody"):
        assert repr(name) in str(caught.value)

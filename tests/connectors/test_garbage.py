from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from connectors.garbage import YOUNG, collect_seldom


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_what_was_loaded_before_is_not_looked_through_again() -> None:
    collect_seldom()

    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == YOUNG


def test_dead_cycles_are_still_found_in_time() -> None:
    collect_seldom()
    ring = weakref.ref(Ring())
    kept: list[list[object]] = [[] for _ in range(YOUNG + 1_000)]

    assert ring() is None
    assert kept

"""How long a fetch that brings nothing may take."""

from types import SimpleNamespace

import pytest

from connectors.kafka.fetch_wait import CALM_AFTER_S, QUICK_S, TAKEN_WITHIN_S, FetchWait

SHORT, LONG = 100, 500
IN_TIME_S = 0.03


class Scene:
    def __init__(self) -> None:
        self.clock = SimpleNamespace(now=1000.0)
        self.wait = FetchWait(short_ms=SHORT, long_ms=LONG, in_time_s=IN_TIME_S, clock=lambda: self.clock.now)

    def calm(self) -> None:
        self.clock.now += CALM_AFTER_S

    def used_up_after(self, seconds: float) -> int:
        came_at = self.clock.now
        self.clock.now += seconds
        self.wait.used_up(came_at)
        return self.wait.ms()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_short_at_first_and_long_once_nothing_has_happened_for_a_while(scene: Scene) -> None:
    assert scene.wait.ms() == SHORT
    scene.calm()
    assert scene.wait.ms() == LONG
    scene.wait.hurry()
    assert scene.wait.ms() == SHORT


@pytest.mark.parametrize(
    ("name", "seconds", "expected"),
    [
        ("taken at once: the partition is part of the next fetch", IN_TIME_S / 2, LONG),
        ("taken a moment later: the next fetch went without it", IN_TIME_S * 2, SHORT),
        ("a busy partition", QUICK_S / 2, SHORT),
        ("a slow one, which holds work for longer than a fetch may wait", QUICK_S * 2, LONG),
    ],
)
def test_it_is_short_while_a_partition_quickly_uses_up_what_comes(
    scene: Scene, name: str, seconds: float, expected: int
) -> None:
    scene.calm()
    assert scene.used_up_after(seconds) == expected, name


def test_it_is_long_again_when_that_is_a_while_ago(scene: Scene) -> None:
    scene.calm()
    assert scene.used_up_after(1.0) == SHORT
    scene.calm()
    assert scene.wait.ms() == LONG


def test_the_long_wait_is_never_below_the_short_one() -> None:
    clock = SimpleNamespace(now=0.0)
    wait = FetchWait(short_ms=800, long_ms=500, in_time_s=IN_TIME_S, clock=lambda: clock.now)
    clock.now += CALM_AFTER_S
    assert wait.ms() == 800


@pytest.mark.parametrize(("seconds_ago", "expected"), [(TAKEN_WITHIN_S / 2, SHORT), (TAKEN_WITHIN_S * 2, LONG)])
def test_it_is_short_while_something_that_has_just_come_is_not_taken(
    scene: Scene, seconds_ago: float, expected: int
) -> None:
    scene.calm()
    assert scene.wait.ms([scene.clock.now - 100.0, scene.clock.now - seconds_ago]) == expected

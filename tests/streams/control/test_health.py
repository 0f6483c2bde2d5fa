"""That a lane's messages fail, as a record that holds nothing."""

from __future__ import annotations

from schemas.codec import SingleObjectCodec
from schemas.records import ControlSubject
from streams.control.health import failing, health_key, healthy, is_health
from streams.control.switches import Aspect, Switches, control_key

LANE = ControlSubject.LANE
WORD = failing("us", code=30007, why="24% of 50 messages failed", fix="look at the template", at=1_000, until=5_000)


def test_a_failing_lane_is_neither_paused_nor_in_trouble_and_no_switch_that_people_set() -> None:
    switches = Switches()
    switches.take(health_key("us"), WORD)
    assert switches.failing("us", 2_000) == WORD
    assert switches.failing("ch", 2_000) is None
    assert switches.paused(LANE, "us", 2_000) is None
    assert switches.trouble(LANE, "us") is None
    assert list(switches.in_force(2_000)) == []


def test_it_ends_by_itself_and_the_moment_is_known() -> None:
    switches = Switches()
    switches.take(health_key("us"), WORD)
    assert switches.next_end_ms(2_000) == 5_000
    assert switches.failing("us", 5_000) is None


def test_it_ends_by_a_word_and_an_operators_resume_does_not_end_it() -> None:
    switches = Switches()
    switches.take(health_key("us"), WORD)
    switches.take(control_key(LANE, "us", Aspect.PAUSE), None)
    assert switches.failing("us", 2_000) == WORD
    switches.take(health_key("us"), healthy("us", at=2_000))
    assert switches.failing("us", 2_000) is None


def test_both_words_can_be_written_and_are_known_by_their_key() -> None:
    codec = SingleObjectCodec()
    for word in (WORD, healthy("us", at=2_000)):
        assert codec.decode(codec.encode(word)) == word
    assert is_health(health_key("us"))
    assert not is_health(control_key(LANE, "us", Aspect.PAUSE))

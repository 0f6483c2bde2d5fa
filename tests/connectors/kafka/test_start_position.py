"""Where reading begins, and what is reported as lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.hooks import Loss
from connectors.kafka.start_position import LogBounds, Start, start_position
from connectors.kafka.topic_partition import TP

A = TP("a", 2)


@pytest.mark.parametrize(
    ("name", "position", "log", "expected"),
    [
        ("a new group on an empty log", None, LogBounds(0, 0), Start(0, None)),
        ("a new group reads everything there is", None, LogBounds(40, 90), Start(40, None)),
        ("inside the log", 50, LogBounds(40, 90), Start(50, None)),
        ("at its start", 40, LogBounds(40, 90), Start(40, None)),
        ("at its end", 90, LogBounds(40, 90), Start(90, None)),
        ("retention took records", 35, LogBounds(40, 90), Start(40, Loss(A, 35, 40, 35, "retention"))),
        ("retention took all", 35, LogBounds(90, 90), Start(90, Loss(A, 35, 90, 35, "retention"))),
        ("the topic was made anew", 91, LogBounds(0, 90), Start(0, Loss(A, 0, 0, 91, "truncated"))),
    ],
)
def test_reading_goes_on(name: str, position: int | None, log: LogBounds, expected: Start) -> None:
    assert start_position(A, position, log) == expected, name


def test_a_loss_says_how_many_records_it_can_be() -> None:
    assert Loss(A, 35, 40, 35, "retention").count == 5
    assert Loss(A, 0, 0, 91, "truncated").count == 0


@given(
    position=st.none() | st.integers(min_value=0, max_value=100),
    start=st.integers(min_value=0, max_value=100),
    length=st.integers(min_value=0, max_value=100),
)
def test_no_record_that_the_log_holds_beyond_the_position_is_skipped_in_silence(
    position: int | None, start: int, length: int
) -> None:
    log = LogBounds(start, start + length)
    found = start_position(A, position, log)
    assert log.start <= found.offset <= log.end
    if found.loss is None:
        assert position is None or found.offset == position
    else:
        assert found.offset == log.start

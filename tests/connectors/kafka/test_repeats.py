"""aiokafka's log while a broker is away."""

import logging

from connectors.kafka.repeats import OncePerForm, say_repeats_once


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(form: str, *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.conn", level, "conn.py", 1, form, args, None)


def test_a_message_is_said_once_per_minute_and_then_how_often_it_was_not_said() -> None:
    clock = Clock()
    said = OncePerForm(60, clock)
    assert said.filter(record("Unable to connect to %s", "a:1"))
    assert not said.filter(record("Unable to connect to %s", "b:1"))
    clock.now = 59
    assert not said.filter(record("Unable to connect to %s", "a:1"))
    clock.now = 60
    later = record("Unable to connect to %s", "a:1")
    assert said.filter(later)
    assert later.getMessage() == "Unable to connect to a:1 (and 2 more like it)"


def test_another_message_is_said_at_once() -> None:
    said = OncePerForm(60, Clock())
    assert said.filter(record("one"))
    assert said.filter(record("two"))


def test_what_is_no_trouble_passes() -> None:
    said = OncePerForm(60, Clock())
    assert all(said.filter(record("fine", level=logging.INFO)) for _ in range(3))


def test_the_filter_is_put_on_a_logger_once() -> None:
    say_repeats_once()
    say_repeats_once()
    logger = logging.getLogger("aiokafka.conn")
    assert len([known for known in logger.filters if isinstance(known, OncePerForm)]) == 1

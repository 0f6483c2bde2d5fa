"""Topics as they are against topics as they should be. The waiting itself: test_worker.py."""

from connectors.kafka.broker_wait import topic_problems


def test_topics_as_configured_are_no_problem_and_others_do_not_matter() -> None:
    assert topic_problems({"a": 2}, {"a": 2, "b": 1}) == []


def test_every_problem_is_told_at_once_with_its_fix() -> None:
    missing, smaller = topic_problems({"b": 4, "a": 2, "c": 1}, {"b": 3, "c": 1})
    assert missing == "topic a is missing or this user may not see it: run `commlayer topics apply` to create it"
    assert smaller.startswith("topic b has 3 partitions and 4 are configured: run `commlayer topics apply`")

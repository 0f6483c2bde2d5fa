from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from commlayer.cli.request_lines import BadLine, RequestLine, read_lines
from commlayer.moments import moment


def test_a_line_becomes_fields_and_its_app() -> None:
    lines = ['{"app": "shop", "to": "+1", "body": "x", "deadline": "10m"}', "", '{"to": "+2"}']
    assert list(read_lines([line.encode() for line in lines], "login")) == [
        RequestLine(1, "shop", {"to": "+1", "body": "x", "deadline": timedelta(minutes=10)}),
        RequestLine(3, "login", {"to": "+2"}),
    ]


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("{", "not JSON", "one object a line"),
        ("[1]", "not a JSON object", "one object a line"),
        ('{"to": "+1"}', "app: is missing", "give --app"),
        ('{"app": 3, "to": "+1"}', "app: is of type int", "as text"),
        ('{"app": ["shop"], "to": "+1"}', "app: is of type list", "as text"),
        ("[" * 100_000, "nested too deeply", "one object a line"),
        ('{"to": "\udcff"}', "not UTF-8 at byte 8", "in UTF-8"),
        ('{"app": "a", "deadline": "999999999999d"}', "deadline: `999999999999d` is too far away", "10m"),
        ('{"app": "a", "deadline": "' + 5000 * "9" + '"}', "deadline: `99", "10m"),
        ('{"app": "a", "deadline": "soon"}', "deadline: `soon` is no moment", "10m"),
        ('{"app": "a", "not_before": "2026-12-24T18:00:00"}', "not_before: `2026-12-24T18:00:00` has no", "10m"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_told_with_its_fix(line: str, what: str, fix: str) -> None:
    [bad] = read_lines([line.encode(errors="surrogateescape")], None)
    assert isinstance(bad, BadLine)
    assert bad.what.startswith(what)
    assert fix in bad.fix


def test_a_broken_line_is_told_without_its_content() -> None:
    [bad] = read_lines([b'{"body": "Your code is 4711"'], "shop")
    assert isinstance(bad, BadLine)
    assert "4711" not in bad.what


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("30s", timedelta(seconds=30)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1700000000000", 1_700_000_000_000),
        ("2026-12-24T18:00:00Z", datetime(2026, 12, 24, 18, tzinfo=UTC)),
        ("2026-12-24T19:00:00+01:00", datetime(2026, 12, 24, 18, tzinfo=UTC)),
    ],
)
def test_moments_are_written_as_people_do(text: str, meaning: object) -> None:
    assert moment(text) == meaning


@pytest.mark.parametrize("text", ["99999999999999999", "9999999d", "9999-12-31T23:59:59-12:00"])
def test_what_is_no_date_any_more_is_too_far_away(text: str) -> None:
    with pytest.raises(ValueError, match="too far away"):
        moment(text)


@pytest.mark.parametrize("text", ["", "soon", "10 m", "-5m", "2026-12-24", "1.5h", "２h"])
def test_other_words_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="write a time from now"):
        moment(text)

from __future__ import annotations

import dataclasses

import pytest

from connectors.values import named_value, value


@value
class Point:
    x: int
    y: int = 0


@named_value
class Place:
    name: str
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


def test_values_are_compared_by_their_fields_and_made_anew_with_changes() -> None:
    assert Point(1, 2) == Point(1, y=2) != Point(1)
    assert dataclasses.replace(Place(name="here"), name="there") == Place(name="there")
    assert Place(name="a").tags is not Place(name="b").tags


def test_a_named_value_is_given_its_fields_by_name() -> None:
    with pytest.raises(TypeError):
        Place("here")  # type: ignore[call-arg]  # that is the point


def test_a_value_takes_no_other_attributes_and_is_no_key() -> None:
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]  # that is the point
    with pytest.raises(TypeError):
        hash(Point(1))

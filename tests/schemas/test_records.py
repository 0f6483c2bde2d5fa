"""Typed records and Avro schemas say the same, field by field."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from schemas.fitting import named_types
from schemas.loading import current
from schemas.records import RECORDS, Record, vocabulary
from schemas.records.base import Record as Base

_NAMES = sorted(RECORDS)


def _described(node: Any, named: dict[str, Any]) -> Any:
    """An Avro type in the words that `_hinted` uses for Python's."""
    if isinstance(node, str) and node in named:
        node = named[node]
    if isinstance(node, list):
        assert node[0] == "null", "a union is always null or one type, null first"
        [other] = node[1:]
        return ("optional", _described(other, named))
    match node if isinstance(node, str) else node["type"]:
        case "record" | "enum":
            return node["name"]
        case "array":
            return ("array", _described(node["items"], named))
        case "map":
            return ("map", _described(node["values"], named))
        case "int" | "long":
            return "integer"
        case kind:
            return kind


def _hinted(hint: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        [inner] = [argument for argument in arguments if argument is not type(None)]
        return ("optional", _hinted(inner))
    if origin is list:
        return ("array", _hinted(arguments[0]))
    if origin is dict:
        assert arguments[0] is str
        return ("map", _hinted(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, Base):
        return hint.AVRO_NAME
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return f"commlayer.{hint.__name__}"
    return {str: "string", int: "integer", float: "double", bool: "boolean", bytes: "bytes"}[hint]


def _record_class(name: str) -> type[Record]:
    [found] = [cls for cls in Record.__subclasses__() if getattr(cls, "AVRO_NAME", None) == name]
    return found


def test_every_schema_has_a_typed_record_and_every_record_a_schema() -> None:
    assert sorted(current()) == _NAMES


@pytest.mark.parametrize("name", _NAMES)
def test_fields_agree_in_name_order_and_type(name: str) -> None:
    named = named_types(current()[name].parsed)
    for type_name, definition in named.items():
        if definition["type"] != "record":
            continue
        cls = _record_class(type_name)
        hints = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]))
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # every record is a dataclass
        assert [(field.name, _hinted(hints[field.name])) for field in fields] == [
            (field["name"], _described(field["type"], named)) for field in definition["fields"]
        ]


@pytest.mark.parametrize("name", _NAMES)
def test_defaults_agree(name: str) -> None:
    for type_name, definition in named_types(current()[name].parsed).items():
        if definition["type"] != "record":
            continue
        for field, avro in zip(dataclasses.fields(_record_class(type_name)), definition["fields"], strict=True):  # type: ignore[arg-type]  # every record is a dataclass
            if field.default_factory is not dataclasses.MISSING:
                default: Any = field.default_factory()
            else:
                default = field.default
            has_default = default is not dataclasses.MISSING
            assert has_default == ("default" in avro), f"{type_name}.{field.name}"
            assert not has_default or default == avro["default"], f"{type_name}.{field.name}"


@pytest.mark.parametrize("name", _NAMES)
def test_enums_have_the_members_of_their_schema_in_its_order(name: str) -> None:
    for type_name, definition in named_types(current()[name].parsed).items():
        if definition["type"] == "enum":
            members = getattr(vocabulary, type_name.removeprefix("commlayer."))
            assert [member.value for member in members] == definition["symbols"]


@pytest.mark.parametrize("name", _NAMES)
def test_every_record_enum_and_field_says_what_it_means(name: str) -> None:
    for type_name, definition in named_types(current()[name].parsed).items():
        assert len(definition.get("doc", "")) > 5, type_name
        for field in definition.get("fields", ()):
            assert len(field.get("doc", "")) > 3, f"{type_name}.{field['name']}"


def test_optional_fields_default_to_nothing_so_that_they_can_be_added_and_dropped() -> None:
    for one in current().values():
        for type_name, definition in named_types(one.parsed).items():
            for field in definition.get("fields", ()):
                if isinstance(field["type"], list):
                    assert field["default"] is None, f"{type_name}.{field['name']}"


def test_the_records_package_needs_nothing_that_is_not_in_the_client() -> None:
    allowed = set(sys.stdlib_module_names) | {"fastavro", "confluent_kafka"}
    import ast

    import schemas

    for file in Path(schemas.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, file
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").partition(".")[0] in allowed, file

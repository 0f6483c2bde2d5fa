"""Changes that people make to schemas, and whether yesterday's data can still be read after each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Definition = dict[str, Any]


class Change(NamedTuple):
    """What is changed in `EARLIER`; `broken` is the field a reader would stumble over, None where it would not."""

    words: str
    apply: Callable[[Definition], None]
    broken: str | None


EARLIER: Definition = {
    "type": "record",
    "name": "Sample",
    "namespace": "commlayer",
    "doc": "A record with one field of every kind that our schemas use.",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "number", "type": "int"},
        {"name": "instant", "type": "long"},
        {"name": "ratio", "type": ["null", "double"], "default": None},
        {"name": "flag", "type": "boolean", "default": False},
        {"name": "raw", "type": ["null", "bytes"], "default": None},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b", "c"]}, "default": "a"},
        {"name": "other", "type": ["null", "commlayer.Kind"], "default": None},
        {"name": "list", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}},
        {
            "name": "inner",
            "type": {
                "type": "record",
                "name": "Inner",
                "fields": [
                    {"name": "code", "type": "int"},
                    {"name": "hint", "type": ["null", "string"], "default": None},
                ],
            },
        },
        {"name": "inners", "type": {"type": "array", "items": "commlayer.Inner"}, "default": []},
    ],
}


def _field(definition: Definition, name: str) -> Any:
    return next(field for field in definition["fields"] if field["name"] == name)


def _add(*fields: Any) -> Callable[[Definition], None]:
    return lambda definition: definition["fields"].extend(fields)


def _drop(name: str) -> Callable[[Definition], None]:
    return lambda definition: definition["fields"].remove(_field(definition, name))


def _retype(name: str, new: Any) -> Callable[[Definition], None]:
    return lambda definition: _field(definition, name).update({"type": new})


def _retype_without_default(name: str, new: Any) -> Callable[[Definition], None]:
    def apply(definition: Definition) -> None:
        field = _field(definition, name)
        field["type"] = new
        del field["default"]

    return apply


def _rename(name: str, new: str, *aliases: str) -> Callable[[Definition], None]:
    def apply(definition: Definition) -> None:
        _field(definition, name).update({"name": new} | ({"aliases": list(aliases)} if aliases else {}))

    return apply


def _symbols(symbols: list[str], **more: Any) -> Callable[[Definition], None]:
    return lambda definition: _field(definition, "kind")["type"].update({"symbols": symbols, **more})


def _inner(change: Callable[[Definition], None]) -> Callable[[Definition], None]:
    return lambda definition: change(_field(definition, "inner")["type"])


def _undefault(name: str) -> Callable[[Definition], None]:
    return lambda definition: _field(definition, name).pop("default") and None


def _redoc(definition: Definition) -> None:
    definition["doc"] = "Other words."


def _reorder(definition: Definition) -> None:
    definition["fields"].insert(0, definition["fields"].pop(2))


def _rename_record(definition: Definition) -> None:
    definition["name"] = "Renamed"


def _alias_record(definition: Definition) -> None:
    definition.update({"name": "Renamed", "aliases": ["commlayer.Sample"]})


_NEW_ENUM = {"type": "enum", "name": "Fresh", "symbols": ["x"]}

CHANGES = [
    Change("nothing", lambda definition: None, None),
    Change("other docs", _redoc, None),
    Change("fields in another order", _reorder, None),
    Change("an optional field more", _add({"name": "new", "type": ["null", "string"], "default": None}), None),
    Change("a field with a default more", _add({"name": "new", "type": "int", "default": 3}), None),
    Change("an enum with a default more", _add({"name": "new", "type": _NEW_ENUM, "default": "x"}), None),
    Change("a required field more", _add({"name": "new", "type": "string"}), "new"),
    Change("a nullable field without default more", _add({"name": "new", "type": ["null", "string"]}), "new"),
    Change("an optional field less", _drop("note"), None),
    Change("a required field less", _drop("instant"), None),
    Change("a field renamed", _rename("text", "words"), "words"),
    Change("a field renamed with its old name as alias", _rename("text", "words", "text"), None),
    Change("a field with a default renamed", _rename("note", "remark"), None),
    Change("a default taken away from a field that was always written", _undefault("note"), None),
    Change("an int grown to a long", _retype("number", "long"), None),
    Change("an int grown to a double", _retype("number", "double"), None),
    Change("a long shrunk to an int", _retype("instant", "int"), "instant"),
    Change("an int become text", _retype("number", "string"), "number"),
    Change("a boolean become an int", _retype("flag", "int"), "flag"),
    Change("text become bytes", _retype("text", "bytes"), None),
    Change("a required field become optional", _retype("text", ["null", "string"]), None),
    Change("an optional field become required", _retype_without_default("note", "string"), "note"),
    Change("one more type in a union", _retype("note", ["null", "string", "long"]), None),
    Change("another type in a union", _retype("note", ["null", "long"]), "note"),
    Change("a double in a union become a float", _retype("ratio", ["null", "float"]), "ratio"),
    Change("a symbol more", _symbols(["a", "b", "c", "d"]), None),
    Change("symbols in another order", _symbols(["c", "b", "a"]), None),
    Change("a symbol less", _symbols(["a", "b"]), "kind"),
    Change("a symbol less with a default", _symbols(["a", "b"], default="a"), None),
    Change("an enum become text", _retype("other", ["null", "string"]), "other"),
    Change("a list become text", _retype_without_default("list", "string"), "list"),
    Change("a list of other items", _retype("list", {"type": "array", "items": "int"}), "list[]"),
    Change("a list become a map", _retype_without_default("list", {"type": "map", "values": "string"}), "list"),
    Change("a map of other values", _retype("tags", {"type": "map", "values": "long"}), "tags{}"),
    Change("a map of values that may be absent", _retype("tags", {"type": "map", "values": ["null", "string"]}), None),
    Change(
        "an optional field more inside", _inner(_add({"name": "new", "type": ["null", "int"], "default": None})), None
    ),
    Change("a required field more inside", _inner(_add({"name": "new", "type": "int"})), "inner.new"),
    Change("another type inside", _inner(_retype("code", "string")), "inner.code"),
    Change("a field less inside", _inner(_drop("code")), None),
    Change("a record become text", _retype("inner", "string"), "inner"),
    Change("the record renamed", _rename_record, ""),
    Change("the record renamed with its old name as alias", _alias_record, None),
]

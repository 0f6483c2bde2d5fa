"""Does a value fit its schema, exactly?

A value that cannot be written is searched for the field that is to blame (`misfit`). A value as read is searched for
what fastavro's reader lets through and our writer does not (`compile_width_search`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .records import Record

_INT = range(-(2**31), 2**31)
_LONG = range(-(2**63), 2**63)

Types = dict[str, Any]
"""Named types of a schema by full name."""
Search = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first field that does not fit: its path, what is wrong, what to do."""

    field: str
    detail: str
    fix: str


def named_types(parsed: Any) -> Types:
    """Every named type that a parsed schema defines, by full name."""
    found: Types = {}

    def walk(node: Any) -> None:
        if isinstance(node, list):
            for branch in node:
                walk(branch)
        elif isinstance(node, dict):
            if node["type"] in ("record", "enum", "fixed"):
                found[node["name"]] = node
            for inner in ("items", "values"):
                walk(node.get(inner))
            for field in node.get("fields", ()):
                walk(field["type"])

    walk(parsed)
    return found


def resolve(node: Any, types: Types) -> Any:
    """The type that a name stands for; any other as it is, without its logical type."""
    if isinstance(node, str):
        return types.get(node, node)
    if isinstance(node, dict) and isinstance(node["type"], str) and node["type"] not in _COMPLEX:
        return resolve(node["type"], types)  # {"type": "long", "logicalType": ...}
    return node


_COMPLEX = ("record", "enum", "fixed", "array", "map")


def compile_width_search(node: Any, types: Types) -> Search | None:
    """A search in a plain value as read for an `int` of more than 32 bits, which fastavro's reader lets through; it
    answers the path of the first one. None where the type holds no `int`."""
    node = resolve(node, types)
    if isinstance(node, list):
        searches = [search for search in (compile_width_search(branch, types) for branch in node) if search is not None]
        return searches[0] if searches else None
    if node == "int":
        return lambda value: "" if type(value) is int and value not in _INT else None
    if isinstance(node, dict) and node["type"] == "array":
        return _array_search(compile_width_search(node["items"], types))
    if isinstance(node, dict) and node["type"] == "record":
        found = [(field["name"], compile_width_search(field["type"], types)) for field in node["fields"]]
        return _record_search([(name, search) for name, search in found if search is not None])
    return None


def misfit(value: Any, node: Any, types: Types, path: str = "") -> Misfit | None:
    """What is wrong with a typed value (a `Record`, or a value inside one); None when it fits."""
    if isinstance(node, list):
        return _union_misfit(value, node, types, path)
    node = resolve(node, types)
    kind = node["type"] if isinstance(node, dict) else node
    if kind == "record":
        return _record_misfit(value, node, types, path)
    if kind == "enum":
        if isinstance(value, str) and value in node["symbols"]:
            return None
        detail = "is no member of the enum" if isinstance(value, str) else _is_a(value)
        return Misfit(path, detail, f"use one of {', '.join(node['symbols'])}")
    if kind == "array":
        if not isinstance(value, list | tuple):
            return Misfit(path, _is_a(value), "give a list")
        return _first(misfit(item, node["items"], types, f"{path}[{index}]") for index, item in enumerate(value))
    if kind == "map":
        if not isinstance(value, dict):
            return Misfit(path, _is_a(value), "give a dict")
        if not all(isinstance(key, str) for key in value):
            return Misfit(path, "has a key that is no text", "use str keys")
        return _first(
            misfit(key, "string", types, f"{path} (a key)") or misfit(item, node["values"], types, f"{path}[{key!r}]")
            for key, item in value.items()
        )
    return _primitive_misfit(value, kind, path)


def _union_misfit(value: Any, branches: list[Any], types: Types, path: str) -> Misfit | None:
    if value is None and "null" in branches:
        return None
    others = [misfit(value, branch, types, path) for branch in branches if branch != "null"]
    return None if None in others else others[0]


def _record_misfit(value: Any, node: Any, types: Types, path: str) -> Misfit | None:
    if not isinstance(value, Record) or node["name"] != value.AVRO_NAME:
        return Misfit(path, _is_a(value), f"give a {node['name'].rpartition('.')[2]} record")
    prefix = f"{path}." if path else ""
    return _first(
        misfit(getattr(value, field["name"], None), field["type"], types, f"{prefix}{field['name']}")
        for field in node["fields"]
    )


def _primitive_misfit(value: Any, kind: str, path: str) -> Misfit | None:
    if kind == "string":
        if not isinstance(value, str):
            return Misfit(path, _is_a(value), "give a str")
        try:
            value.encode()
        except UnicodeEncodeError:
            return Misfit(path, "holds half of a surrogate pair, which UTF-8 cannot carry", "give whole characters")
        return None
    check, fix = {
        "int": (_is_int, "give an int of at most 32 bits"),
        "long": (_is_long, "give an int of at most 64 bits"),
        "float": (_is_double, "give a float"),
        "double": (_is_double, "give a float"),
        "boolean": (_is_boolean, "give True or False"),
        "bytes": (lambda given: isinstance(given, bytes | bytearray), "give bytes"),
        "null": (lambda given: given is None, "give None"),
    }[kind]
    if check(value):
        return None
    too_large = type(value) is int and kind in ("int", "long", "float", "double")
    return Misfit(path, "is too large" if too_large else _is_a(value), fix)


def _is_int(value: Any) -> bool:
    return type(value) is int and value in _INT


def _is_long(value: Any) -> bool:
    return type(value) is int and value in _LONG


def _is_double(value: Any) -> bool:
    # An int beyond 2**63 may be beyond what a double holds, too.
    return type(value) is float or _is_long(value)


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _array_search(search: Search | None) -> Search | None:
    if search is None:
        return None

    def run(value: Any) -> str | None:
        for index, item in enumerate(value):
            path = search(item)
            if path is not None:
                return f"[{index}]" + (f".{path}" if path else "")
        return None

    return run


def _record_search(searches: list[tuple[str, Search]]) -> Search | None:
    if not searches:
        return None

    def run(value: Any) -> str | None:
        if value is None:
            return None
        for name, search in searches:
            path = search(value[name])
            if path is not None:
                return name + (path if not path or path.startswith("[") else f".{path}")
        return None

    return run


def _first(misfits: Any) -> Misfit | None:
    return next((found for found in misfits if found is not None), None)


def _is_a(value: Any) -> str:
    return "is missing" if value is None else f"is of type {type(value).__name__}"

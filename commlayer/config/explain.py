"""pydantic's findings in plain words: each with its path, what is wrong, and how to mend it."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from .model import Configuration
from .problems import Path, Problem
from .suggest import instead

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a section with names",
    "model_type": "a section",
    "model_attributes_type": "a section",
}
_EXAMPLES = {
    "text": "put it in quotes.",
    "a whole number": "write digits without quotes.",
    "a number": "write a number without quotes.",
    "true or false": "write true or false without quotes.",
    "a list": "write [one, two] or one `- entry` on each line.",
    "a section with names": "write `name:` lines below it, each with its settings.",
    "a section": "write its settings as `key: value` lines below it.",
}


def problems_of(error: ValidationError) -> list[Problem]:
    """One problem for each finding, without line numbers."""
    return [_problem(found) for found in error.errors(include_url=False)]


def section_at(path: Path) -> Any:
    """The type that the models expect at a path, None where they expect nothing."""
    annotation: Any = Configuration
    for part in path:
        annotation = bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = _fields(annotation).get(str(part))
            annotation = None if field is None else field.annotation
        else:
            arguments = typing.get_args(annotation)
            annotation = arguments[-1 if typing.get_origin(annotation) is dict else 0] if arguments else None
        if annotation is None:
            return None
    return bare(annotation)


def _problem(found: ErrorDetails) -> Problem:
    # pydantic marks what is wrong with a key, not with its value, by a last part of its own.
    path: Path = found["loc"][:-1] if found["loc"][-1:] == ("[key]",) else found["loc"]
    kind, context = found["type"], found.get("ctx", {})
    if kind == "missing":
        field = _field_at(path)
        meaning = f" {field.description}" if field is not None and field.description else ""
        return Problem(path, "required, but missing.", f"add `{path[-1]}:`.{meaning}")
    if kind == "extra_forbidden":
        known = _fields(section_at(path[:-1]))
        return Problem(path, "unknown key.", instead(path[-1], known, otherwise="remove it."))
    if kind in ("enum", "literal_error"):
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return Problem(
            path, f"unknown value {found['input']!r}.", instead(found["input"], words, otherwise="remove it.")
        )
    if "fix" in context:
        return Problem(path, f"{found['msg']}.", context["fix"])
    if kind in _EXPECTED:
        expected = _EXPECTED[kind]
        return Problem(path, f"expected {expected}, found {_found(found['input'])}.", _EXAMPLES[expected])
    return Problem(path, *_limit(kind, context, found["msg"]))


def _limit(kind: str, context: dict[str, Any], message: str) -> tuple[str, str]:
    if kind in ("greater_than", "greater_than_equal", "less_than_equal", "less_than"):
        bound = next(iter(context.values()))
        words = {"greater_than": "more than", "less_than": "less than", "greater_than_equal": "at least"}
        return f"must be {words.get(kind, 'at most')} {bound:g}.", "write a number inside this limit."
    if kind == "finite_number":
        return "must be a finite number.", "write the real limit."
    if kind == "too_short":
        return "must not be empty.", "write at least one entry."
    if kind == "string_too_short":
        return "must not be empty.", "write it, or remove the key."
    return f"{message}.", "see docs/configuration.md."


def _field_at(path: Path) -> FieldInfo | None:
    return _fields(section_at(path[:-1])).get(str(path[-1]))


def _fields(section: Any) -> dict[str, FieldInfo]:
    """Fields of a model by the key that stands in YAML."""
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in section.model_fields.items()}


def bare(annotation: Any) -> Any:
    """An annotation without Annotated and without None."""
    if typing.get_origin(annotation) is Annotated:
        return bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return bare(next(part for part in typing.get_args(annotation) if part is not type(None)))
    return annotation


def _found(value: object) -> str:
    """The kind of a value, never the value: it may be a secret in the wrong place."""
    kinds: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "nothing" if value is None else kinds.get(type(value), "a section")

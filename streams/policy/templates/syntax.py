"""The little that a template text may say, checked at loading: `{{ name }}`, and `{% if %}` on declared variables with
`elif`, `else`, `not`, `and`, `or`, `==` and `!=` against a text.

It is Jinja's syntax, run in Jinja's sandbox, but nothing else of Jinja is let in: no loops, filters, calls, attributes,
assignments, macros, imports. So rendering takes time and room in proportion to text and variables, the longest outcome
can be computed before the first message, and a variable's value is never read as code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment

SOURCE_MAX = 8000
"""Characters of one text: five times the longest message, room for all its alternatives."""
ALTERNATIVES_MAX = 64
"""Outcomes of all `{% if %}` of a text together: each is measured by the lint."""
_DEPTH_MAX = 10  # nested blocks and brackets; Jinja's own parser recurses

_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)
_CONDITIONS = (nodes.Name, nodes.Not, nodes.And, nodes.Or, nodes.Compare, nodes.Operand, nodes.Const)

Piece = str | nodes.Name
Outcome = tuple[Piece, ...]
"""One way through the conditions: literal text, and names where values stand."""


class TemplateInvalid(ValueError):
    """A text says more than it may, or is no template at all."""


def render(text: str, values: Mapping[str, str]) -> str:
    """The text with its values; every variable that it names must be there.

    Raises:
        TemplateInvalid: the text was not checked.
        jinja2.UndefinedError: a value is missing.
    """
    return _compiled(text).render(values)


def variables_of(text: str) -> frozenset[str]:
    """Names that a text uses.

    Raises:
        TemplateInvalid: the text is not within the subset.
    """
    return frozenset(name.name for name in _parsed(text).find_all(nodes.Name))


def outcomes(text: str) -> list[Outcome]:
    """Every way through the conditions of a text, each `{% if %}` on its own: a few may be impossible together.

    Raises:
        TemplateInvalid: the text is not within the subset, or has more than 64 outcomes.
    """
    return _ways(_parsed(text).body)


@lru_cache(maxsize=4096)  # one entry per text of the installation
def _compiled(text: str) -> Compiled:
    _parsed(text)
    template = _environment.from_string(text)
    template.globals = {}  # nothing of them can be named, and copying Jinja's own is half of a rendering's time
    return template


def _parsed(text: str) -> nodes.Template:
    if len(text) > SOURCE_MAX:
        raise TemplateInvalid(f"it has {len(text)} characters, at most {SOURCE_MAX} are read")
    try:
        tree = _environment.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateInvalid(f"line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise TemplateInvalid("it is nested too deeply") from None
    for child in tree.body:
        _check(child, 1)
    return tree


def _check(node: nodes.Node, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise TemplateInvalid(f"line {node.lineno}: it is nested deeper than {_DEPTH_MAX}")
    if isinstance(node, nodes.Output):
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData | nodes.Name):
                raise _refused(child)
    elif isinstance(node, nodes.If):
        _condition(node.test, depth + 1)
        for inner in (*node.body, *node.elif_, *node.else_):
            _check(inner, depth + 1)
    else:
        raise _refused(node)


def _condition(node: nodes.Node, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise TemplateInvalid(f"line {node.lineno}: it is nested deeper than {_DEPTH_MAX}")
    if not isinstance(node, _CONDITIONS):
        raise _refused(node)
    if isinstance(node, nodes.Operand) and node.op not in ("eq", "ne"):
        raise TemplateInvalid(f"line {node.lineno}: conditions compare with == and != only")
    if isinstance(node, nodes.Const) and not isinstance(node.value, str):
        raise TemplateInvalid(f"line {node.lineno}: variables are texts, compare with a text in quotes")
    for child in node.iter_child_nodes():
        _condition(child, depth + 1)


def _refused(node: nodes.Node) -> TemplateInvalid:
    what = type(node).__name__.lower()
    return TemplateInvalid(f"line {node.lineno}: `{what}` is not allowed, only {{{{ name }}}} and {{% if %}}")


def _ways(body: list[nodes.Node]) -> list[Outcome]:
    ways: list[Outcome] = [()]
    for node in body:
        following = list(_ways_of(node))
        if len(ways) * len(following) > ALTERNATIVES_MAX:
            raise TemplateInvalid(f"its conditions have more than {ALTERNATIVES_MAX} outcomes")
        ways = [one + other for one, other in product(ways, following)]
    return ways


def _ways_of(node: nodes.Node) -> Iterator[Outcome]:
    if isinstance(node, nodes.Output):
        yield tuple(
            child.data if isinstance(child, nodes.TemplateData) else child
            for child in node.nodes
            if isinstance(child, nodes.TemplateData | nodes.Name)
        )
    elif isinstance(node, nodes.If):
        yield from _ways(node.body)
        for other in node.elif_:
            yield from _ways(other.body)
        yield from _ways(node.else_) if node.else_ else [()]

"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
assert _spec is not None
assert _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), f"docs/{name} is stale: run `python docs/generate.py`"


def test_readme_leads_to_every_page() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in sorted(DOCS.glob("*.md")) if f"(docs/{page.name})" not in readme] == []


PAGES = sorted({*DOCS.rglob("*.md"), *(DOCS.parent / name for name in ("README.md", "client/README.md"))})
DIAGRAM = re.compile(r"^```mermaid\nsequenceDiagram\n(.*?)^```", re.M | re.S)
ENDS_A_STATEMENT = re.compile(r"[;#<]")
"""Mermaid ends a statement at the first two, and what follows is an error in place of the diagram; the last begins
HTML, which viewers take out."""


@pytest.mark.parametrize("page", PAGES)
def test_sequence_diagrams_can_be_drawn(page: Path) -> None:
    diagrams = DIAGRAM.findall(page.read_text(encoding="utf-8"))
    lines = [line for diagram in diagrams for line in diagram.splitlines()]
    assert [line for line in lines if ENDS_A_STATEMENT.search(line)] == []


LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []

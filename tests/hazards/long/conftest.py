"""What a long test measured is told at the end of the run, for bench/RESULTS.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Report = Callable[[str], None]

_told: list[str] = []


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Tells a figure."""
    return lambda figure: _told.append(f"{request.node.name}: {figure}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Called by pytest at the end."""
    for line in _told:
        terminalreporter.write_line(line)

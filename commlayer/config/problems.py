"""What is wrong with a configuration, as values: where, what, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Path = tuple[str | int, ...]
"""Where in the YAML: keys and list positions from the top."""


class Severity(StrEnum):
    """Whether a process may start."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: keys and list positions from the top; empty for the file as a whole.
        what: the trouble, one sentence; never the value of a secret.
        fix: what to write or run instead.
        line: line of the file, counted from 1, where known.
        severity: an error stops a process at start, a warning is told.
    """

    path: Path
    what: str
    fix: str
    line: int | None = None
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> str:
        """The path as people write it: `senders.us-short.channels[0]`."""
        return dotted(self.path)

    def __str__(self) -> str:
        where = f" (line {self.line})" if self.line is not None else ""
        kind = "warning: " if self.severity is Severity.WARNING else ""
        return f"{kind}{self.place}{where}: {self.what} Fix: {self.fix}"


class ConfigurationInvalid(Exception):
    """The configuration cannot be used.

    Attributes:
        source: the file, as it was named.
        problems: everything that is wrong, in the order of the file.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = sorted(problems, key=lambda problem: (problem.line or 0, problem.place))
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        count = _count(len(errors), "error")
        if len(errors) < len(self.problems):
            count += f", {_count(len(self.problems) - len(errors), 'warning')}"
        return "\n".join([f"{self.source}: {count}", *(f"  {problem}" for problem in self.problems)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def dotted(path: Path) -> str:
    """`("senders", "us", "channels", 0)` becomes `senders.us.channels[0]`; an empty path `(file)`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(file)"

"""commlayer as a program of its own, as an operator starts it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.commlayer.conftest import SECRETS
from tests.support.processes import Child

ROOT = Path(__file__).parents[2]


class Program:
    """`commlayer <arguments>`, its output in a file; ended with the block."""

    def __init__(self, *arguments: str, config: Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments = arguments
        self._config = config
        self._environment = {**os.environ, **SECRETS, "COMMLAYER_LOG_FORMAT": "json", **(environment or {})}

    def __enter__(self) -> Program:
        self.log = self._config.with_name(f"{'-'.join(self._arguments)}.log".replace("/", "_"))
        command = [sys.executable, "-m", "commlayer", "--config", str(self._config), *self._arguments]
        self.child = Child(self._arguments[0], command, log=self.log, cwd=ROOT, env=self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.child.stop()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self.child.stop()

    def lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def events(self) -> Iterator[dict[str, Any]]:
        """Its log, line by line."""
        for line in self.lines():
            if line.startswith("{"):
                yield json.loads(line)

    def line_with(self, part: str, timeout_s: float = 60.0) -> str:
        """The first line that holds this, once it is there."""
        deadline = time.monotonic() + timeout_s
        while True:
            for line in self.lines():
                if part in line:
                    return line
            assert self.child.returncode is None, f"ended before {part!r}:\n{self.child.output()}"
            assert time.monotonic() < deadline, f"no {part!r} within {timeout_s} s:\n{self.child.output()}"
            time.sleep(0.05)

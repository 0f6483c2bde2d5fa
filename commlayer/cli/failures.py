"""How a command fails: one clear line and the fix. Exit codes: 0 done, 1 failed, 2 configuration or usage."""

from __future__ import annotations

from typing import IO, Any

import click

EXIT_DONE, EXIT_FAILED, EXIT_MISCONFIGURED = 0, 1, 2


class Failure(click.ClickException):
    """It did not work; trying again later may."""

    exit_code = EXIT_FAILED

    def __init__(self, what: str, fix: str | None = None) -> None:
        super().__init__(what)
        self.fix = fix

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line and the fix to standard error."""
        click.echo(f"error: {self.message}", err=True, file=file)
        if self.fix:
            click.echo(f"fix: {self.fix}", err=True, file=file)


class Misconfigured(Failure):
    """It cannot work as configured or asked for; trying again will not help."""

    exit_code = EXIT_MISCONFIGURED

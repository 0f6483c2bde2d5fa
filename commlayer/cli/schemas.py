"""`commlayer schemas check|register|release`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from commlayer.config import Purpose, load
from schemas.compatibility import Finding, check_released
from schemas.errors import IncompatibleSchema, RegistryRefused, RegistryUnavailable
from schemas.registry import Registry
from schemas.releasing import check_registry, register_all, write_release

from .failures import Failure, Misconfigured

ASK_AGAIN_S = 1.0


@click.group("schemas")
def command() -> None:
    """Check, register and release the contracts.

    Today's schema of every record must read whatever an earlier one wrote (BACKWARD_TRANSITIVE).
    """


@command.command("check")
@click.option("--released-only", is_flag=True, help="Against the released versions only; needs no configuration.")
@click.pass_obj
def check(path: Path, released_only: bool) -> None:
    """Check today's schemas against the released versions and those of the registry."""
    _refuse(check_released())
    click.echo("released versions: compatible")
    if released_only:
        return
    registry = _registry(path)
    if registry is None:
        click.echo("registry: none configured")
        return
    try:
        _refuse(check_registry(registry))
    except RegistryUnavailable as error:
        _unavailable(error)
    click.echo(f"registry {registry.url}: compatible")


@command.command("register")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for the registry.")
@click.pass_obj
def register(path: Path, wait_s: float) -> None:
    """Register today's schemas. Registering again changes nothing."""
    registry = _registry(path)
    if registry is None:
        fix = "add `registry: {url: ...}`; without one, records need no registration."
        raise Misconfigured("no registry is configured", fix)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            ids = register_all(registry)
            break
        except IncompatibleSchema as error:
            raise Failure(f"{registry.url} refuses {error.name}: {error.detail}", _FIX) from error
        except RegistryUnavailable as error:
            if time.monotonic() >= deadline:
                _unavailable(error)
            time.sleep(ASK_AGAIN_S)
    for name, schema_id in ids.items():
        click.echo(f"{name}: id {schema_id}")


@command.command("release")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("schemas/released"),
    show_default=True,
    help="Folder of released versions in a checkout.",
)
def release(folder: Path) -> None:
    """Write today's schemas as newly released versions, to be committed with a release of commlayer."""
    try:
        written = write_release(folder)
    except IncompatibleSchema as error:
        raise Failure(str(error), _FIX) from error
    for file in written:
        click.echo(str(file))
    if not written:
        click.echo("nothing changed since the last release")


_FIX = "`commlayer schemas check` lists every field that must stay as it was."


def _registry(path: Path) -> Registry | None:
    from commlayer.processes.contracts import open_registry

    loaded = load(path, frozenset({Purpose.REGISTRY}))
    return open_registry(loaded.config, loaded.secrets)


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise Failure("\n  ".join(["today's schemas cannot read what was written before:", *map(str, findings)]))


def _unavailable(error: RegistryUnavailable) -> NoReturn:
    if isinstance(error, RegistryRefused):
        raise Misconfigured(str(error), "correct registry.username and registry.password.") from error
    raise Failure(str(error), "check that the registry runs and that registry.url is its address.") from error

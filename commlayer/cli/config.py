"""`commlayer config check|show|schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import yaml

from commlayer.config import Configuration, Purpose, json_schema, load


@click.group("config")
def command() -> None:
    """Check and show the configuration."""


@command.command("check")
@click.option("--no-secrets", is_flag=True, help="Do not read the secrets that the file refers to.")
@click.pass_obj
def check(path: Path, no_secrets: bool) -> None:
    """Explain everything that is wrong, with path and fix."""
    loaded = load(path, frozenset() if no_secrets else frozenset(Purpose))
    for warning in loaded.warnings:
        click.echo(str(warning), err=True)
    click.echo(f"{path}: ok, version {loaded.config.version} ({_summary(loaded.config)})")


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of YAML.")
@click.pass_obj
def show(path: Path, as_json: bool) -> None:
    """Print the configuration with all defaults. Secrets appear as references only."""
    data = load(path).config.as_data()
    click.echo(json.dumps(data, indent=2) if as_json else yaml.safe_dump(data, sort_keys=False), nl=as_json)


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


def _summary(config: Configuration) -> str:
    counts = {"app": len(config.apps), "sender": len(config.senders), "account": len(config.accounts)}
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())

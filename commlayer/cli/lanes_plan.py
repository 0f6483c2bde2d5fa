"""`commlayer lanes plan`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commlayer.config import Configuration, load

from .tables import print_

if TYPE_CHECKING:
    from rich.table import Table


@click.command("plan", short_help="Show groups and partitions, propose places for new senders.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of a table.")
@click.pass_obj
def plan(path: Path, as_json: bool) -> None:
    """Show the groups on their partitions, and propose numbers for senders without a place. Needs no Kafka."""
    from commlayer.lanes import planning

    planned = planning.plan(_without_places(path))
    if as_json:
        data = {
            "partitions": {number: [asdict(each) for each in there] for number, there in planned.partitions.items()},
            "count": planned.count,
            "free": planned.free,
            "proposals": [asdict(each) for each in planned.proposals],
        }
        click.echo(json.dumps(data, indent=2))
        return
    print_(_partitions(planned))
    click.echo(f"{len(planned.free)} of {planned.count} partitions are free")
    for each in planned.proposals:
        shared = ", shared: true" if each.shared else ""
        place = "no place" if each.partition is None else f"partition: {each.partition}{shared}"
        click.echo(f"senders.{each.sender}: {place}  ({each.why})")


def _partitions(planned: Any) -> Table:
    from rich.table import Table

    from commlayer.lanes.planning import window

    shown = Table()
    for name in ("partition", "held at most", "rate"):
        shown.add_column(name, justify="right")
    shown.add_column("groups (senders)", overflow="fold")
    for number, there in planned.partitions.items():
        rates = ", ".join(f"{each.rate:g}" for each in there)
        names = ", ".join(
            each.group if each.senders == [each.group] else f"{each.group} ({', '.join(each.senders)})"
            for each in there
        )
        shown.add_row(str(number), str(window(there)), rates, names)
    return shown


def _without_places(path: Path) -> Configuration:
    """The configuration, whose senders may lack a place; nothing else may be wrong."""
    from commlayer.config import ConfigurationInvalid, Severity
    from commlayer.config.checks.placement import UNPLACED
    from commlayer.config.source import parse

    try:
        return load(path).config
    except ConfigurationInvalid as invalid:
        problems = [each for each in invalid.problems if each.severity is Severity.ERROR and each.what != UNPLACED]
        if problems:
            raise ConfigurationInvalid(invalid.source, problems) from invalid
    return Configuration.model_validate(parse(path.read_text(encoding="utf-8"), str(path)).data)

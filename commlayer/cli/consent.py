"""`commlayer consent show|set|import|export`."""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from commlayer.config import Loaded
from commlayer.moments import epoch_ms, moment_words
from schemas.records import Consent, ConsentChange, ConsentSource

from .failures import EXIT_FAILED, Misconfigured
from .kafka_access import open_reader
from .moments import Moment
from .people import number, region_option

if TYPE_CHECKING:
    from commlayer.consents.log import Written
    from commlayer.topic_reader import TopicReader
    from streams.consent import Ledger

BATCH = 1000
"""Rows that are written together: enough to keep the producer busy, few enough to go into its queue at once."""

to_option = click.option("--to", required=True, help="The person's number, in any notation.")
form_option = click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="By the file's name, or csv.")


@click.group("consent")
def command() -> None:
    """Show, change, import and export consent, opt-outs and suppressions.

    \b
    commlayer consent show --to "+1 415 555 0123"
    commlayer consent set opt-out --to "+1 415 555 0123" --scope brand:acme --evidence ticket-17
    commlayer consent import crm.csv --dry-run
    commlayer consent export all > consent.csv
    """


@command.command("show")
@to_option
@region_option
@click.option("--unmasked", is_flag=True, help="Numbers whole.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")
@click.pass_obj
def show(path: Path, to: str, default_region: str | None, unmasked: bool, as_json: bool) -> None:
    """Show every change of a person's consent, and what holds now."""
    from commlayer.consents.log import folded, of_person
    from connectors.masking import mask_number

    recipient = number(to, default_region)
    with open_reader(path, "commlayer.consent") as (_, reader):
        changes = list(of_person(reader, recipient))
    ledger = folded(changes)
    person = recipient if unmasked else mask_number(recipient)
    told = [_told(change, unmasked=unmasked) for change in changes]
    holds = list(_holding(ledger))
    if as_json:
        click.echo(json.dumps({"recipient": person, "changes": told, "holds": holds}, indent=2, ensure_ascii=False))
        return
    for each in told:
        click.echo("  ".join(_words(each)))
    click.echo(f"{person} now: " + ("; ".join(" ".join(_words(each)) for each in holds) or "nothing on record"))


@command.command("set")
@click.argument("change", type=click.Choice([each.value.replace("_", "-") for each in ConsentChange]))
@to_option
@region_option
@click.option("--scope", default="all", show_default=True, help="all, or brand:, category:, channel:, … with a name.")
@click.option("--evidence", help="What proves it: a ticket, a form, a message SID.")
@click.option("--reason", help="Why, in words.")
@click.option("--expires", type=Moment(), help="Ends by itself: 30d, or a moment.")
@click.option("--by", envvar="USER", show_envvar=True, help="Your name, for those who ask later.")
@click.pass_obj
def set_(
    path: Path,
    change: str,
    to: str,
    default_region: str | None,
    scope: str,
    evidence: str | None,
    reason: str | None,
    expires: Any,
    by: str | None,
) -> None:
    """Write one change, as an operator. It holds once this returns."""
    from commlayer.consents.scopes import NoScope, read_scope, scope_words
    from connectors.masking import mask_number
    from schemas.ids import consent_id

    if not by:
        raise click.UsageError("nobody says who you are: --by NAME.")
    now_ms = time.time_ns() // 1_000_000
    expires_at = None if expires is None else epoch_ms(expires, now_ms)
    if expires_at is not None and expires_at <= now_ms:
        raise click.UsageError("--expires: that moment has passed.")
    recipient = number(to, default_region)
    with _writing(path) as (loaded, _, write):
        try:
            kind, value = read_scope(scope, loaded.config)
        except NoScope as error:
            raise Misconfigured(f"--scope: {error}", f"{error.fix}.") from error
        what = ConsentChange(change.replace("-", "_"))
        record = Consent(
            consent_id=consent_id(recipient, what, f"{scope_words(kind, value)} {by} {now_ms}"),
            recipient=recipient,
            change=what,
            scope=kind,
            scope_value=value,
            source=ConsentSource.OPERATOR,
            evidence=evidence,
            actor=by,
            reason=reason,
            at=now_ms,
            expires_at=expires_at,
        )
        write([record])
    click.echo(f"{mask_number(recipient)}: {change} {scope_words(kind, value)} by {by}")


@command.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@form_option
@region_option
@click.option("--rejects", type=click.File("w", encoding="utf-8", lazy=True), help="Report bad lines there.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, write nothing.")
@click.pass_context
def import_(
    ctx: click.Context, file: IO[str], form: str | None, default_region: str | None, rejects: Any, dry_run: bool
) -> None:
    """Write the changes of a file, CSV or JSON lines; `-` reads standard input.

    Columns: recipient, change, scope, at; and if known source, evidence, actor, reason, expires_at, account, keyword,
    error_code, consent_id. Bad lines are told by number, field and fix, stop nothing else, and make the exit code 1.
    What comms.consent holds already is not written again.
    """
    from commlayer.consents.lines import BadRow, Form, Row, imported, read_consent, read_rows
    from commlayer.consents.log import of_everybody

    kind = Form(form) if form else Form.JSONL if Path(file.name).suffix in (".jsonl", ".ndjson", ".json") else Form.CSV
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(newline="")  # line ends inside quoted cells stay as they are
    new = known = bad = 0
    with _writing(ctx.obj) as (loaded, reader, write):
        there = {each.record.consent_id for each in of_everybody(reader) if each.record is not None}

        def good() -> Iterator[Consent]:
            nonlocal new, known, bad
            for row in read_rows(file, kind):
                read = read_consent(row, loaded.config, default_region=default_region) if isinstance(row, Row) else row
                if isinstance(read, BadRow):
                    bad += 1
                    click.echo(str(read), file=rejects or sys.stderr)
                elif read.consent_id in there:
                    known += 1
                else:
                    there.add(read.consent_id)
                    new += 1
                    yield imported(read)

        records = good()
        while batch := list(itertools.islice(records, BATCH)):
            if not dry_run:
                write(batch)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{new} {verb}, {known} there already, {bad} bad lines")
    if bad:
        ctx.exit(EXIT_FAILED)


@command.command("export")
@click.argument("everybody", type=click.Choice(["all"]), required=False)
@click.option("--to", help="One person's number, in any notation.")
@region_option
@form_option
@click.option("--output", type=click.File("w", encoding="utf-8"), default="-", help="Standard output by default.")
@click.pass_obj
def export(
    path: Path, everybody: str | None, to: str | None, default_region: str | None, form: str | None, output: IO[str]
) -> None:
    """Write the changes of a person, or of all, as `import` reads them. Numbers are whole: mind where it goes."""
    from commlayer.consents.lines import Form, header, write_row
    from commlayer.consents.log import of_everybody, of_person

    if (everybody is None) == (to is None):
        raise click.UsageError("say whose: --to NUMBER, or all.")
    kind = Form(form) if form else Form.JSONL if Path(output.name).suffix in (".jsonl", ".ndjson") else Form.CSV
    unreadable = 0
    with open_reader(path, "commlayer.consent") as (_, reader):
        changes = of_everybody(reader) if to is None else of_person(reader, number(to, default_region))
        output.write(header(kind))
        for change in changes:
            if change.record is None:
                unreadable += 1
            else:
                output.write(write_row(change.record, kind))
    if unreadable:
        click.echo(f"warning: {unreadable} records cannot be read and are left out.", err=True)


@contextmanager
def _writing(path: Path) -> Iterator[tuple[Loaded, TopicReader, Any]]:
    """Configuration, a reader, and `write(records)`, which returns once Kafka holds them."""
    from commlayer.config.conversions import kafka_settings
    from commlayer.consents.log import write
    from commlayer.processes.contracts import Contracts, open_registry
    from schemas.codec import RegistryCodec

    with open_reader(path, "commlayer.consent") as (loaded, reader):
        codec = Contracts(open_registry(loaded.config, loaded.secrets)).codec
        if isinstance(codec, RegistryCodec):
            codec.prepare()
        kafka = kafka_settings(loaded.config, loaded.secrets)
        yield loaded, reader, lambda records: write(kafka, codec, records)


def _told(change: Written, *, unmasked: bool) -> dict[str, Any]:
    from commlayer.consents.scopes import scope_words
    from connectors.masking import mask_numbers

    record = change.record
    if record is None:
        return {"offset": change.offset, "change": "unreadable", "scope": "all"}
    told = {
        "at": moment_words(record.at),
        "change": record.change.value,
        "scope": scope_words(record.scope, record.scope_value),
        "source": record.source.value,
        "evidence": record.evidence,
        "actor": record.actor,
        "reason": record.reason,
        "expires_at": None if record.expires_at is None else moment_words(record.expires_at),
        "keyword": record.keyword,
        "error_code": record.error_code,
        "offset": change.offset,
    }
    hidden = ("evidence", "actor", "reason", "keyword")
    return {
        name: mask_numbers(value) if name in hidden and isinstance(value, str) and not unmasked else value
        for name, value in told.items()
        if value is not None
    }


def _holding(ledger: Ledger) -> Iterator[dict[str, Any]]:
    from commlayer.consents.scopes import scope_words

    if ledger.unreadable is not None:
        why = "a record cannot be read: until an operator's record"
        yield {"change": "opt_out", "scope": "all", "reason": why, "offset": ledger.unreadable}
    for entry in ledger.standing(time.time_ns() // 1_000_000):
        ends = {} if entry.expires_at is None else {"expires_at": moment_words(entry.expires_at)}
        words = {"change": entry.change.value, "scope": scope_words(entry.scope, entry.value)}
        yield {**words, **ends, "offset": entry.position}


def _words(told: dict[str, Any]) -> Iterator[str]:
    """Its values; those that do not explain themselves with their name."""
    plain = ("at", "change", "scope", "source")
    names = {"expires_at": "until", "error_code": "error"}
    for name, value in told.items():
        yield str(value) if name in plain else f"{names.get(name, name)} {value}"

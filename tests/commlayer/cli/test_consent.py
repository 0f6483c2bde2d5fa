"""`commlayer consent` on a real broker."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from schemas.codec import SingleObjectCodec
from schemas.records import Consent, ConsentChange, ConsentScope, ConsentSource
from schemas.topics import CONSENT
from tests.commlayer.conftest import Commlayer
from tests.support.kafka import Kafka, Outgoing

ADA = {"USER": "ada"}


@pytest.fixture
def person() -> str:
    """A number that no other test uses."""
    return f"+1415555{secrets.randbelow(10_000):04d}"


def changes(kafka: Kafka, person: str) -> list[Consent]:
    stored = [each for each in kafka.consume_all(CONSENT) if each.key == person.encode()]
    records = [SingleObjectCodec().decode(each.value or b"") for each in stored if each.value != b"nonsense"]
    return [each for each in records if isinstance(each, Consent)]


def test_a_change_is_written_with_who_and_why_and_shown_without_the_number(
    commlayer: Commlayer, on_kafka: Kafka, person: str
) -> None:
    said = ("--evidence", "ticket-17", "--reason", f"called from {person}", "--expires", "30d")
    done = commlayer("consent", "set", "opt-out", "--to", person, "--scope", "sender:us", *said, environment=ADA)
    assert done.exit_code == 0, done.output
    [record] = changes(on_kafka, person)
    assert (record.change, record.scope, record.scope_value) == (ConsentChange.OPT_OUT, ConsentScope.SENDER, "us")
    assert (record.source, record.actor, record.evidence) == (ConsentSource.OPERATOR, "ada", "ticket-17")
    assert record.expires_at is not None
    assert record.expires_at - record.at == 30 * 86_400_000
    shown = commlayer("consent", "show", "--to", person)
    for word in ("opt_out", "sender:us", "operator", "ticket-17", "ada", "called from"):
        assert word in shown.stdout
    assert person not in shown.stdout + done.output
    assert person in commlayer("consent", "show", "--to", person, "--unmasked").stdout
    told = json.loads(commlayer("consent", "show", "--to", person, "--json").stdout)
    assert [each["scope"] for each in told["holds"]] == ["sender:us"]
    assert person not in json.dumps(told)


def test_what_names_nothing_configured_is_refused_with_the_fix(
    commlayer: Commlayer, on_kafka: Kafka, person: str
) -> None:
    refused = commlayer("consent", "set", "opt-out", "--to", person, "--scope", "category:nwes", environment=ADA)
    assert refused.exit_code == 2
    assert "no category `nwes` is configured" in refused.stderr
    assert "did you mean `news`?" in refused.stderr
    foreign = commlayer("consent", "set", "opt-out", "--to", person, "--scope", "sender:+14155559999", environment=ADA)
    assert foreign.exit_code == 2
    assert commlayer("consent", "set", "opt-out", "--to", "12", environment=ADA).exit_code == 2
    assert changes(on_kafka, person) == []


def test_a_record_that_cannot_be_read_holds_until_an_operator_writes(
    commlayer: Commlayer, on_kafka: Kafka, person: str
) -> None:
    on_kafka.produce([Outgoing(CONSENT, b"nonsense", person.encode())])
    told = json.loads(commlayer("consent", "show", "--to", person, "--json").stdout)
    assert [(each["change"], each["scope"]) for each in told["holds"]] == [("opt_out", "all")]
    assert commlayer("consent", "set", "opt-in", "--to", person, environment=ADA).exit_code == 0
    told = json.loads(commlayer("consent", "show", "--to", person, "--json").stdout)
    assert [(each["change"], each["scope"]) for each in told["holds"]] == [("opt_in", "all")]


def test_an_import_takes_the_good_lines_reports_the_bad_and_may_be_repeated(
    commlayer: Commlayer, on_kafka: Kafka, person: str, tmp_path: Path
) -> None:
    file, rejects = tmp_path / "crm.csv", tmp_path / "rejects.txt"
    file.write_text(
        "recipient,change,scope,at,evidence\n"
        f"{person},opt_out,all,2026-01-02T03:04:05Z,form-1\n"
        f"{person},stop,all,2026-01-02T03:04:05Z,form-2\n"
        f"{person},opt_in,category:news,2026-01-03T03:04:05Z,form-3\n"
    )
    dry = commlayer("consent", "import", str(file), "--dry-run")
    assert dry.stdout == "2 would be written, 0 there already, 1 bad lines\n"
    assert "line 3: change: " in dry.stderr
    assert changes(on_kafka, person) == []
    done = commlayer("consent", "import", str(file), "--rejects", str(rejects))
    assert (done.exit_code, done.stdout) == (1, "2 written, 0 there already, 1 bad lines\n")
    assert rejects.read_text().startswith("line 3: change: `stop`")
    assert [(each.change, each.source) for each in changes(on_kafka, person)] == [
        (ConsentChange.OPT_OUT, ConsentSource.IMPORT),
        (ConsentChange.OPT_IN, ConsentSource.IMPORT),
    ]
    again = commlayer("consent", "import", "-", input=file.read_text())
    assert again.stdout == "0 written, 2 there already, 1 bad lines\n"
    assert len(changes(on_kafka, person)) == 2


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_is_what_import_reads(
    commlayer: Commlayer, on_kafka: Kafka, person: str, tmp_path: Path, form: str
) -> None:
    for change in ("opt-out", "opt-in"):
        assert commlayer("consent", "set", change, "--to", person, environment=ADA).exit_code == 0
    file = tmp_path / f"consent.{form}"
    assert commlayer("consent", "export", "--to", person, "--format", form, "--output", str(file)).exit_code == 0
    assert len(file.read_text().splitlines()) == (3 if form == "csv" else 2)
    assert commlayer("consent", "import", str(file)).stdout == "0 written, 2 there already, 0 bad lines\n"
    everything = commlayer("consent", "export", "all", "--format", form)
    assert all(line in everything.stdout for line in file.read_text().splitlines())

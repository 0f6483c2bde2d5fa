"""How commands that read Kafka open it, and how they tell what goes wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commlayer.config import Loaded, Purpose, load

from .failures import Failure, Misconfigured

if TYPE_CHECKING:
    from commlayer.topic_reader import TopicReader


RIGHTS = "run it as a user who may, or give this one the right; docs/operating.md tells who may do what on Kafka."
"""Fix for everything that the brokers forbid."""


@contextmanager
def open_reader(path: Path, name: str) -> Iterator[tuple[Loaded, TopicReader]]:
    """The configuration and a reader of its topics; trouble with Kafka or the contracts becomes a line and a fix."""
    from commlayer.config.conversions import kafka_settings
    from commlayer.processes.contracts import Contracts, open_registry
    from commlayer.topic_reader import KafkaUnreachable, NotAllowed, TopicMissing, TopicReader
    from schemas.errors import ContractError

    loaded = load(path, frozenset({Purpose.KAFKA, Purpose.REGISTRY}))
    codec = Contracts(open_registry(loaded.config, loaded.secrets)).codec
    bootstrap = ", ".join(loaded.config.kafka.bootstrap)
    try:
        with TopicReader(kafka_settings(loaded.config, loaded.secrets), codec, name=name) as reader:
            yield loaded, reader
    except NotAllowed as error:
        raise Misconfigured(f"Kafka at {bootstrap}: {error}", RIGHTS) from error
    except KafkaUnreachable as error:
        fix = "check kafka.bootstrap, kafka.security and the broker."
        raise Failure(f"Kafka at {bootstrap}: {error}", fix) from error
    except TopicMissing as error:
        raise Misconfigured(str(error), "run `commlayer topics apply`.") from error
    except ContractError as error:
        raise Failure(f"a record cannot be read or written: {error}", "check the schema registry.") from error


@contextmanager
def telling_progress(topic: str) -> Iterator[Callable[[int, int], None]]:
    """Says on standard error how much of a topic is read: on a terminal in place, elsewhere not at all."""
    shown = sys.stderr.isatty()

    def tell(read: int, total: int) -> None:
        if shown:
            click.echo(f"\r{topic}: {read} of {total} records", nl=False, err=True)

    try:
        yield tell
    finally:
        if shown:
            click.echo("\r\033[K", nl=False, err=True)

"""What README.md shows in Python runs as it stands, but for the addresses."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest

from schemas.codec import Codec, RegistryCodec, SingleObjectCodec
from schemas.ids import message_id_by_key
from schemas.records import MessageStatus, StatusUpdate
from schemas.registry import Registry
from schemas.releasing import register_all
from schemas.topics import request_topic
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def snippet(word: str) -> str:
    """The Python block that holds this word."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    [found] = [block for block in blocks if word in block]
    return str(found)


def test_publishing(kafka: Kafka, tmp_path: Path) -> None:
    app = kafka.unique("app")
    kafka.create_topics({request_topic(app): 1, request_topic(app, urgent=True): 1})
    shown = snippet("Publisher").replace("kafka:9092", kafka.bootstrap).replace('app="login"', f'app="{app}"')
    # It stands inside somebody's coroutine.
    program = f"import asyncio\nasync def main():\n{textwrap.indent(shown, '    ')}\nasyncio.run(main())\n"
    child = Child("publishing", [sys.executable, "-c", program], log=tmp_path / "log", cwd=ROOT)
    assert child.wait(60) == 0, child.output()
    assert child.output() == message_id_by_key(app, "+14155550123", "login-8842") + "\n"


@pytest.mark.parametrize("with_registry", [False, True])
def test_reading_what_happened(kafka: Kafka, registry_url: str, tmp_path: Path, *, with_registry: bool) -> None:
    topic, group = kafka.unique("status"), kafka.unique("group")
    kafka.create_topics({topic: 1})
    update = StatusUpdate(
        message_id="m-1", round=0, app="shop", status=MessageStatus.DELIVERED, is_final=True, updated_at=1
    )
    kafka.produce([Outgoing(topic, _codec(registry_url if with_registry else None).encode(update), b"m-1")])
    shown = snippet("Decoder")
    for as_shown, here in (("kafka:9092", kafka.bootstrap), ("comms.feedback.status", topic), ("cdp.status", group)):
        assert as_shown in shown
        shown = shown.replace(as_shown, here)
    if with_registry:
        line = re.search(
            r"^decoder = Decoder\(\)  # (Decoder\(registry_url=\"(.*)\"\)) where a registry runs$", shown, re.M
        )
        assert line
        shown = shown.replace(line[0], f"decoder = {line[1]}").replace(line[2], registry_url)
    child = Child("reading", [sys.executable, "-u", "-c", shown], log=tmp_path / "log", cwd=ROOT)
    try:
        wait_until(child.output, "an update", within_s=60)
        assert child.output() == "m-1 delivered None None\n"
    finally:
        child.stop()


def _codec(registry_url: str | None) -> Codec:
    if registry_url is None:
        return SingleObjectCodec()
    register_all(Registry(registry_url))
    codec = RegistryCodec(Registry(registry_url))
    codec.prepare([StatusUpdate])
    return codec

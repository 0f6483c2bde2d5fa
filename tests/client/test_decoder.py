"""Applications read what commlayer published, whichever way it was encoded."""

from __future__ import annotations

import pytest
from commlayer_client import DecodeError, Decoder, RegistryUnavailable, StatusUpdate

from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.records import MessageStatus
from schemas.registry import Registry
from schemas.releasing import register_all
from tests.support.processes import free_ports

UPDATE = StatusUpdate(message_id="m", round=0, app="shop", status=MessageStatus.DELIVERED, is_final=True, updated_at=1)


def test_without_a_registry_it_reads_single_object_encoding() -> None:
    assert Decoder().decode(SingleObjectCodec().encode(UPDATE)) == UPDATE


def test_with_a_registry_it_fetches_what_it_meets_and_reads_the_other_encoding_too(registry_url: str) -> None:
    register_all(Registry(registry_url))
    writer = RegistryCodec(Registry(registry_url))
    writer.prepare([StatusUpdate])
    decoder = Decoder(registry_url=registry_url)
    assert decoder.decode(writer.encode(UPDATE)) == UPDATE
    assert decoder.decode(SingleObjectCodec().encode(UPDATE)) == UPDATE


def test_what_can_never_be_read_is_not_what_may_be_read_later() -> None:
    with pytest.raises(DecodeError, match="looks like JSON"):
        Decoder().decode(b'{"status": "delivered"}')
    [port] = free_ports(1)
    with pytest.raises(RegistryUnavailable, match="try again later"):
        Decoder(registry_url=f"http://127.0.0.1:{port}").decode(b"\x00\x00\x00\x00\x07...")

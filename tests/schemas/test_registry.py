"""A real schema registry: what is registered, found, refused, and what counts as no answer."""

from __future__ import annotations

import copy
import http.server
import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from schemas.codec import RegistryCodec
from schemas.compatibility import check
from schemas.errors import (
    DecodeError,
    IncompatibleSchema,
    RegistryRefused,
    RegistryUnavailable,
    SchemaNotRegistered,
    UnknownSchemaId,
)
from schemas.loading import Schema, current, schema
from schemas.reasons import Reason
from schemas.records import Content, MessageRequest
from schemas.registry import COMPATIBILITY, Registry, RegistryLogin
from schemas.releasing import check_registry, register_all
from tests.support.processes import free_ports
from tests.support.schema_changes import CHANGES, EARLIER, Change

_REQUEST = MessageRequest(recipient="+14155550123", category="otp", content=Content(body="x"), created_at=1)


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    registry = Registry(registry_url)
    yield registry
    registry.close()


def _sample(definition: Any = EARLIER) -> Any:
    """A definition under a name that no other test uses."""
    return {**copy.deepcopy(definition), "namespace": f"test.n{secrets.token_hex(6)}"}


def _own(definition: Any) -> Schema:
    # Named types of the sample live in its former namespace.
    return schema(json.loads(json.dumps(definition).replace("commlayer.", f"{definition['namespace']}.")))


def test_registering_twice_is_registering_once(registry: Registry) -> None:
    ours = _own(_sample())
    first = registry.register(ours)
    assert registry.register(ours) == first
    assert [(version.number, version.schema_id) for version in registry.versions(ours.name)] == [(1, first)]
    assert registry.id_of(ours) == first
    assert schema(json.loads(registry.schema_text(first))).fingerprint == ours.fingerprint


def test_a_subject_enforces_transitive_compatibility_from_its_first_version_on(registry: Registry) -> None:
    ours = _own(_sample())
    registry.register(ours)
    assert registry.compatibility(ours.name) == COMPATIBILITY


def test_a_version_that_cannot_read_an_earlier_one_is_refused_also_across_versions(registry: Registry) -> None:
    definition = _sample()
    registry.register(_own(definition))
    without = {**definition, "fields": [field for field in definition["fields"] if field["name"] != "number"]}
    registry.register(_own(without))
    back = {**without, "fields": [*without["fields"], {"name": "number", "type": "string", "default": ""}]}
    assert not registry.accepts(_own(back))
    with pytest.raises(IncompatibleSchema, match=r"Sample"):
        registry.register(_own(back))
    assert len(registry.versions(_own(back).name)) == 2


@pytest.mark.parametrize("change", CHANGES, ids=[change.words for change in CHANGES])
def test_the_registry_and_our_own_check_agree(registry: Registry, change: Change) -> None:
    definition = _sample()
    earlier = _own(definition)
    registry.register(earlier)
    later = copy.deepcopy(definition)
    change.apply(later)
    kinds = [
        field["name"] for field in later["fields"] if str(field["type"]).startswith("{'type': 'record', 'name': 'I")
    ]
    if not kinds:  # the field that defined Inner is gone: the next one defines it
        inner = copy.deepcopy(next(field["type"] for field in definition["fields"] if field["name"] == "inner"))
        next(field for field in later["fields"] if field["name"] == "inners")["type"]["items"] = inner
    changed = schema(json.loads(json.dumps(later).replace("commlayer.", f"{definition['namespace']}.")))
    under_the_same_subject = Schema(earlier.name, changed.definition, changed.parsed, changed.fingerprint)
    assert registry.accepts(under_the_same_subject) == (not check(changed, earlier))


def test_unknown_ids_and_unregistered_schemas_are_told_from_an_outage(registry: Registry) -> None:
    with pytest.raises(UnknownSchemaId):
        registry.schema_text(2**31 - 1)
    with pytest.raises(SchemaNotRegistered):
        registry.id_of(_own(_sample()))
    assert registry.versions(f"test.{secrets.token_hex(6)}") == []


def test_a_version_that_differs_in_docs_only_has_the_id_of_the_registered_one(registry: Registry) -> None:
    definition = _sample()
    schema_id = registry.register(_own(definition))
    assert registry.id_of(_own({**definition, "doc": "Other words."})) == schema_id


def test_all_schemas_register_and_the_codec_works_through_the_registry(registry: Registry) -> None:
    ids = register_all(registry)
    assert sorted(ids) == sorted(current())
    assert register_all(registry) == ids
    assert check_registry(registry) == []
    writer, reader = RegistryCodec(registry), RegistryCodec(registry)
    writer.prepare()
    data = writer.encode(_REQUEST)
    assert data[:5] == b"\x00" + ids["commlayer.MessageRequest"].to_bytes(4, "big")
    reader.load(ids["commlayer.MessageRequest"])
    assert reader.decode(data) == _REQUEST


def test_confluents_own_deserializer_reads_what_the_codec_writes_and_the_other_way_round(registry_url: str) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    registry = Registry(registry_url)
    codec = RegistryCodec(registry)
    codec.prepare([MessageRequest], register=True)
    context = SerializationContext("comms.requests.shop", MessageField.VALUE)
    client = SchemaRegistryClient({"url": registry_url})
    assert AvroDeserializer(client)(codec.encode(_REQUEST), context) == _REQUEST.to_avro()
    serializer = AvroSerializer(
        client,
        current()["commlayer.MessageRequest"].text,
        conf={"subject.name.strategy": record_subject_name_strategy, "auto.register.schemas": False},
    )
    data = serializer(_REQUEST.to_avro(), context)
    assert data is not None
    assert codec.decode(data) == _REQUEST


def test_an_unknown_id_is_final_at_a_real_registry(registry: Registry) -> None:
    with pytest.raises(DecodeError) as caught:
        RegistryCodec(registry).load(2**31 - 2)
    assert caught.value.reason is Reason.UNKNOWN_SCHEMA


# No answer that counts


def test_a_registry_that_is_down_is_unavailable_at_once() -> None:
    [port] = free_ports(1)
    registry = Registry(f"http://127.0.0.1:{port}/apis/ccompat/v7")
    with pytest.raises(RegistryUnavailable, match="no usable answer"):
        registry.schema_text(1)
    with pytest.raises(RegistryUnavailable):
        register_all(registry)


def test_a_wrong_path_is_no_registry_and_nothing_is_final_because_of_it(registry_url: str) -> None:
    with pytest.raises(RegistryUnavailable, match="check the URL"):
        Registry(registry_url.replace("/apis/ccompat/v7", "/nothing")).schema_text(1)


class _Answers(http.server.BaseHTTPRequestHandler):
    status, body, wait = 200, b"", 0.0
    seen: ClassVar[list[str]]
    hold: ClassVar[threading.Event]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        if self.wait:
            self.hold.wait(self.wait)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *arguments: object) -> None:
        """Nothing on the test's terminal."""


@pytest.fixture
def stub() -> Iterator[tuple[str, type[_Answers]]]:
    """A web server that answers every question alike."""

    class Handler(_Answers):
        seen: ClassVar[list[str]] = []
        hold: ClassVar[threading.Event] = threading.Event()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    Handler.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (401, b"", RegistryRefused, "credentials"),
        (403, b'{"error_code": 403, "message": "no"}', RegistryRefused, "credentials"),
        (500, b'{"error_code": 50001, "message": "store"}', RegistryUnavailable, "HTTP 500: store"),
        (503, b"<html>", RegistryUnavailable, "HTTP 503"),
        (429, b'{"error_code": 42901, "message": "slow"}', RegistryUnavailable, "HTTP 429"),
        (404, b"<html>not here</html>", RegistryUnavailable, "check the URL"),
        (200, b"<html>a page</html>", RegistryUnavailable, "no usable answer"),
        (404, b'{"error_code": 40403, "message": "none"}', UnknownSchemaId, "no schema"),
    ],
)
def test_only_the_registrys_own_word_counts_as_not_found(
    stub: tuple[str, type[_Answers]], status: int, body: bytes, error: type[Exception], words: str
) -> None:
    url, handler = stub
    handler.status, handler.body = status, body
    with pytest.raises(error, match=words):
        Registry(url).schema_text(1)
    assert len(handler.seen) == 1, "nothing is retried behind the caller's back"


def test_a_silent_registry_is_given_up_after_the_timeout(stub: tuple[str, type[_Answers]]) -> None:
    url, handler = stub
    handler.wait = 60.0
    with pytest.raises(RegistryUnavailable, match="Timeout"):
        Registry(url, timeout_s=0.2).schema_text(1)


def test_credentials_are_sent_and_never_shown(stub: tuple[str, type[_Answers]]) -> None:
    url, handler = stub
    handler.body = b'{"schema": "\\"string\\""}'
    login = RegistryLogin("shop", "very-secret")
    assert "very-secret" not in repr(login)
    assert Registry(url, login=login).schema_text(1) == '"string"'
    assert handler.seen == ["Basic c2hvcDp2ZXJ5LXNlY3JldA=="]

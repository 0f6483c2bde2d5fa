"""Records that nobody should write, each with the end it must come to."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

from connectors.kafka.partitioning import partition_of
from schemas.ids import message_id_by_key
from schemas.loading import current
from schemas.reasons import Reason
from schemas.records import (
    Cancellation,
    Channel,
    Content,
    Dispatch,
    DoubtPolicy,
    Encoding,
    Inbound,
    MessageClass,
    MessageRequest,
    MessageStatus,
    Stage,
)
from schemas.topics import INBOUND, LIFECYCLE, dispatch_topic, request_topic
from tests.streams.cluster import COUNTS
from tests.support.kafka import Outgoing

from .road import Road

SHOP, LOGIN, GHOST = request_topic("shop"), request_topic("login", urgent=True), request_topic("ghost")
LANDLINE, FORBIDDEN_COUNTRY = "+4930901820", "+33612345678"
HOUR_MS = 3_600_000

Dead = tuple[Stage, Reason]
"""On comms.dead, by this stage and for this reason."""
Ended = tuple[MessageStatus, Reason]
"""A final status for this reason."""
DELIVERED = MessageStatus.DELIVERED
"""Odd, and yet a request."""

_UNDECODABLE: Dead = (Stage.POLICY, Reason.UNDECODABLE)
_UNKNOWN_SCHEMA: Dead = (Stage.POLICY, Reason.UNKNOWN_SCHEMA)
_UNEXPECTED: Dead = (Stage.POLICY, Reason.UNEXPECTED_RECORD)


@dataclass(frozen=True)
class Case:
    """One record.

    Attributes:
        name: what is wrong with it.
        record: with its partition.
        end: what must become of it.
        message_id: where it is known before the record is written; else it follows from its place.
    """

    name: str
    record: Outgoing
    end: Dead | Ended | MessageStatus
    message_id: str | None = None


class Numbers:
    """Phone numbers that nobody else uses."""

    def __init__(self) -> None:
        self._left = (f"+1415555{number:04d}" for number in itertools.count())

    def any(self) -> str:
        """The next one."""
        return next(self._left)

    def of(self, partition: int) -> str:
        """The next one whose requests belong into this partition."""
        return next(number for number in self._left if home(number) == partition)


def home(recipient: str) -> int:
    """The partition that a recipient's requests belong into."""
    return partition_of(recipient.encode(), COUNTS.recipient)


def request(recipient: str, **changes: Any) -> MessageRequest:
    """A request that nothing is wrong with."""
    now_ms = time.time_ns() // 1_000_000
    values = {
        "recipient": recipient,
        "category": "service",
        "content": Content(body=f"For {recipient[-4:]}: all is well with you and with us."),
        "created_at": now_ms,
    }
    return MessageRequest(**{**values, **changes})


def undecodable(road: Road, numbers: Numbers) -> Iterator[Case]:
    """What is no record of ours at all."""
    good = road.codec.encode(request(numbers.any()))

    def case(name: str, value: bytes | None, end: Dead = _UNDECODABLE) -> Case:
        recipient = numbers.any()
        return Case(name, Outgoing(SHOP, value, recipient.encode(), home(recipient)), end)

    yield case("bytes of no format", b"\xde\xad\xbe\xef" * 8)
    yield case("an empty value", b"")
    yield case("no value", None)
    yield case("json", json.dumps({"recipient": "+14155550100"}).encode())
    yield case("an end inside the schema id", good[:3])
    yield case("a truncated record", good[:-9])
    yield case("bytes after the record", good + b"\x00")
    yield case("an end inside the fingerprint", b"\xc3\x01\x00")
    yield case("a fingerprint nobody knows", b"\xc3\x01" + b"\x07" * 8 + good[5:], _UNKNOWN_SCHEMA)
    for schema_id in (999_999, 2**31 - 1, 2**31, 2**32 - 1, 0):
        yield case(f"schema id {schema_id}", b"\x00" + schema_id.to_bytes(4, "big") + good[5:], _UNKNOWN_SCHEMA)
    yield case("a length of minus one", good[:5] + b"\x01" + good[6:])
    yield case("a length beyond all bytes", good[:5] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + good[6:])
    yield case("a text that is not utf-8", good[:6] + b"\xff" + good[7:])
    yield case("600 kB", good + b"\x00" * 600_000, (Stage.POLICY, Reason.OVERSIZED))
    yield case("900 kB of nothing", b"\x00" * 900_000, (Stage.POLICY, Reason.OVERSIZED))
    yield case("a contract of another topic", road.codec.encode(inbound(numbers.any())), _UNEXPECTED)
    recipient = numbers.any()
    nameless = road.codec.encode(Cancellation(recipient=recipient, requested_at=0))
    there = Outgoing(SHOP, nameless, recipient.encode(), home(recipient))
    yield Case("a cancellation of nothing", there, (Stage.POLICY, Reason.INVALID_FIELD))


def handmade(road: Road, numbers: Numbers) -> Iterator[Case]:
    """Avro that somebody wrote without our contracts."""
    schema = json.loads(current()["commlayer.MessageRequest"].text)
    created_at = next(field for field in schema["fields"] if field["name"] == "created_at")
    values = request(numbers.any()).to_avro()
    created_at["type"] = "string"
    written = _avro(schema, {**values, "created_at": "yesterday, I think"})

    def case(name: str, schema_id: int, body: bytes, end: Dead) -> Case:
        recipient = numbers.any()
        value = b"\x00" + schema_id.to_bytes(4, "big") + body
        return Case(name, Outgoing(SHOP, value, recipient.encode(), home(recipient)), end)

    ours = int.from_bytes(road.codec.encode(request(numbers.any()))[1:5], "big")
    yield case("a text where a time belongs", ours, written, _UNDECODABLE)
    yield case("a registered schema with a wrong type", _registered(road, "wrong-type", schema), written, _UNDECODABLE)
    order = {"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "number", "type": "int"}]}
    yield case("a record of the shop's own", _registered(road, "order", order), b"\x08", _UNEXPECTED)
    bomb: dict[str, Any] = {"type": "record", "name": "Bomb0", "fields": [{"name": "a", "type": "null"}]}
    for depth in range(1, 40):
        bomb = {"type": "record", "name": f"Bomb{depth}", "fields": [{"name": "a", "type": bomb}]}
    yield case("a schema of forty storeys", _registered(road, "bomb", bomb), b"", _UNDECODABLE)
    yield case("a schema that is no record", _registered(road, "text", {"type": "string"}), b"\x02a", _UNEXPECTED)


def out_of_place(road: Road, numbers: Numbers) -> Iterator[Case]:
    """Requests that nothing is wrong with but their place, their key or their wrapping."""

    def case(name: str, *, aside: int = 0, key: bytes | None = None, keyed: bool = True, **more: Any) -> Case:
        recipient = numbers.any()
        key = recipient.encode() if keyed and key is None else key
        value = road.codec.encode(request(recipient))
        partition = (home(recipient) + aside) % COUNTS.recipient
        return Case(name, Outgoing(SHOP, value, key, partition, **more), DELIVERED)

    yield case("no key", keyed=False)
    yield case("an empty key", key=b"")
    yield case("a key that is not the recipient", key=b"customer 7")
    yield case("a key of 100 kB", key=b"k" * 100_000)
    yield case("the wrong partition", aside=1)
    yield case("the wrong partition and no key", aside=2, keyed=False)
    yield case("an origin that lies", headers=[("commlayer-origin", b"comms.requests.login:0:0")])
    yield case("an origin that is none", headers=[("commlayer-origin", b"\xff\xfe")])
    yield case("a header without value", headers=[("traceparent", None)])


def denied(road: Road, numbers: Numbers) -> Iterator[Case]:
    """Requests that are read and refused."""
    now_ms = time.time_ns() // 1_000_000

    def case(name: str, reason: Reason, topic: str = SHOP, **changes: Any) -> Case:
        recipient = changes.pop("recipient", numbers.any())
        record = request(recipient, **changes)
        return Case(
            name,
            Outgoing(topic, road.codec.encode(record), recipient.encode(), home(recipient)),
            (MessageStatus.DENIED, reason),
            message_id_by_key("shop", recipient, key) if (key := record.idempotency_key) is not None else None,
        )

    yield case("an app that is not configured", Reason.UNKNOWN_APP, topic=GHOST)
    yield case("an app that is switched off", Reason.APP_DISABLED, topic=request_topic("retired"))
    yield case("a category nobody has", Reason.UNKNOWN_CATEGORY, category="spam")
    yield case("a category not granted", Reason.CATEGORY_NOT_GRANTED, category="otp")
    yield case("not urgent on the urgent topic", Reason.NOT_URGENT, topic=LOGIN)
    for number in ("", "4155550123", "+1415", "whatsapp:+14155550123", "+14155550123 ", "+10000000000", "🙂" * 1000):
        yield case(f"the number {number[:24]!r}", Reason.INVALID_RECIPIENT, recipient=number)
    yield case("a landline", Reason.LANDLINE_RECIPIENT, recipient=LANDLINE)
    yield case("a country not allowed", Reason.COUNTRY_NOT_ALLOWED, recipient=FORBIDDEN_COUNTRY)
    yield case("no content", Reason.EMPTY_CONTENT, content=Content())
    yield case("an empty body", Reason.EMPTY_CONTENT, content=Content(body=""))
    yield case("a body of blanks", Reason.EMPTY_CONTENT, content=Content(body=" \n\t "))
    yield case("a body of 1601 characters", Reason.BODY_TOO_LONG, content=Content(body="x" * 1601))
    yield case("a body of 801 emoji", Reason.BODY_TOO_LONG, content=Content(body="🙂" * 801))
    both = Content(body="hello", content_sid="HX" + "0" * 32)
    yield case("two kinds of content", Reason.AMBIGUOUS_CONTENT, content=both)
    yield case("a template", Reason.UNKNOWN_TEMPLATE, content=Content(template="welcome"))
    picture = Content(media_urls=["https://127.0.0.1/a.png"])
    yield case("a picture by sms", Reason.UNSUPPORTED_CONTENT, content=picture)
    yield case(
        "a picture from nowhere", Reason.INVALID_MEDIA, content=Content(media_urls=["ftp://x"]), channel=Channel.MMS
    )
    yield case("an expired deadline", Reason.DEADLINE_PASSED, deadline=now_ms - 1)
    yield case("a deadline of 1970", Reason.DEADLINE_PASSED, deadline=0)
    yield case("a deadline before any time", Reason.INVALID_FIELD, deadline=-(2**63))
    yield case("a deadline beyond any time", Reason.INVALID_FIELD, deadline=2**63 - 1)
    yield case("a deadline too far", Reason.DEADLINE_TOO_FAR, deadline=now_ms + 73 * HOUR_MS)
    yield case("a birth beyond any time", Reason.INVALID_FIELD, created_at=2**63 - 1)
    yield case("an unknown sender", Reason.UNKNOWN_SENDER, sender="carrier pigeon")
    yield case("an unknown pool", Reason.UNKNOWN_SENDER, pool="car")
    yield case("a sender not granted", Reason.SENDER_NOT_GRANTED, sender="vip")
    yield case("a channel without sender", Reason.NO_SENDER, channel=Channel.WHATSAPP)
    yield case("a key too long", Reason.INVALID_FIELD, idempotency_key="k" * 129)
    yield case("eleven tags", Reason.INVALID_FIELD, tags={f"t{number}": "x" for number in range(11)})
    yield case("a tag with blanks", Reason.INVALID_FIELD, tags={"a b": "c"})
    yield case("a campaign of 200 kB", Reason.INVALID_FIELD, campaign="c" * 200_000)


def inner(road: Road, numbers: Numbers) -> Iterator[Case]:
    """Rubbish on the topics that only commlayer itself should write."""
    garbage = b"\xba\xad\xf0\x0d"
    dispatch, feedback = (Stage.DISPATCH, Reason.UNDECODABLE), (Stage.FEEDBACK, Reason.UNDECODABLE)
    for message_class in MessageClass:
        topic = dispatch_topic(message_class)
        for lane in (0, 2):
            yield Case(f"garbage on {topic}[{lane}]", Outgoing(topic, garbage, b"x", lane), dispatch)
    normal = dispatch_topic(MessageClass.NORMAL)
    wrong = road.codec.encode(request(numbers.any()))
    yield Case("a request on dispatch", Outgoing(normal, wrong, b"x", 2), (Stage.DISPATCH, Reason.UNEXPECTED_RECORD))
    unheard = b"\x00" + (888_888).to_bytes(4, "big")
    yield Case(
        "an unknown schema on dispatch", Outgoing(normal, unheard, b"x", 0), (Stage.DISPATCH, Reason.UNKNOWN_SCHEMA)
    )
    order = admitted(numbers.any())
    lost = replace(
        admitted(numbers.any()), message_id="11111111-0000-5000-8000-000000000001", lane="gone", group="gone"
    )
    yield Case(
        "a lane that is not configured",
        Outgoing(normal, road.codec.encode(lost), lost.message_id.encode(), 0),
        DELIVERED,  # policy chooses a lane that there is
        lost.message_id,
    )
    astray = replace(order, message_id="11111111-0000-5000-8000-000000000002")
    value = road.codec.encode(astray)
    yield Case("a lane's wrong partition", Outgoing(normal, value, b"x", 5), DELIVERED, astray.message_id)
    late = replace(order, message_id="11111111-0000-5000-8000-000000000003", deadline=0, decided_at=-(2**63))
    yield Case(
        "an order that is too late",
        Outgoing(normal, road.codec.encode(late), b"x", 0),
        (MessageStatus.EXPIRED, Reason.DEADLINE_PASSED),
        late.message_id,
    )
    for topic in (LIFECYCLE, INBOUND):
        yield Case(f"garbage on {topic}", Outgoing(topic, garbage, b"x", 0), feedback)
        yield Case(f"nothing on {topic}", Outgoing(topic, None, b"x", 0), feedback)
        yield Case(f"a request on {topic}", Outgoing(topic, wrong, None, 1), (Stage.FEEDBACK, Reason.UNEXPECTED_RECORD))
    tier = "comms.deferred.1s"
    yield Case(f"garbage on {tier}", Outgoing(tier, garbage, b"x", 0), _UNDECODABLE)


def admitted(recipient: str) -> Dispatch:
    """An order as policy writes it."""
    now_ms = time.time_ns() // 1_000_000
    return Dispatch(
        message_id="",
        round=0,
        app="shop",
        recipient=recipient,
        channel=Channel.SMS,
        category="service",
        message_class=MessageClass.NORMAL,
        account="main",
        lane="local",
        group="local",
        sender="+14155550100",
        body=f"For {recipient[-4:]}: all is well with you and with us.",
        segments=1,
        encoding=Encoding.GSM7,
        requested_at=now_ms,
        decided_at=now_ms,
        deadline=now_ms + HOUR_MS,
        doubt_policy=DoubtPolicy.RESEND,
        rule_version="by hand",
    )


def inbound(recipient: str) -> Inbound:
    """A person's message."""
    return Inbound(
        sid="SM" + "1" * 32,
        account_sid="AC" + "e" * 32,
        recipient=recipient,
        channel=Channel.SMS,
        sender="+14155550100",
        body="hello",
        num_segments=1,
        received_at=0,
    )


def _avro(schema: dict[str, Any], values: dict[str, Any]) -> bytes:
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), values)
    return out.getvalue()


def _registered(road: Road, subject: str, schema: Any) -> int:
    """The id of a schema that somebody else puts into our registry."""
    body = json.dumps({"schema": json.dumps(schema), "schemaType": "AVRO"}).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    name = f"{subject}-{road.kafka.unique()}"
    asking = urllib.request.Request(f"{road.registry_url}/subjects/{name}/versions", body, headers)
    with urllib.request.urlopen(asking, timeout=30) as answer:
        return int(json.load(answer)["id"])

"""The loop that one would write without this project: consume a batch, send it with Twilio's own async client, commit.

    python -m bench.dispatch_naive <bootstrap> <topic> <group> <url>

No pacing, no order, no log of attempts; what was sent and not committed at a crash is sent again.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from confluent_kafka import Consumer
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from schemas.codec import SingleObjectCodec
from schemas.records import Dispatch

IN_FLIGHT = 100


async def main(bootstrap: str, topic: str, group: str, url: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    codec = SingleObjectCodec()
    http = AsyncTwilioHttpClient()
    client = Client("AC" + "0" * 32, "token", http_client=http)
    client.api.base_url = url

    async def send(order: Dispatch) -> None:
        await client.messages.create_async(
            to=order.recipient,
            from_=order.sender,
            body=order.body,
            status_callback=f"https://bridge.example/twilio/status?m={order.message_id}",
        )

    while True:
        batch = [message for message in consumer.consume(IN_FLIGHT, timeout=0.05) if message.error() is None]
        if not batch:
            await asyncio.sleep(0)
            continue
        orders = [codec.decode(message.value() or b"") for message in batch]
        await asyncio.gather(*(send(order) for order in orders if isinstance(order, Dispatch)))
        consumer.commit(asynchronous=False)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))

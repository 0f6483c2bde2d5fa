"""The `commkafka://` transport: what Faust finds under that scheme (entry point `faust.transports`)."""

from __future__ import annotations

from faust.transport.drivers import aiokafka as driver

from .consumer import Consumer


class Transport(driver.Transport):  # type: ignore[misc]  # Faust's classes are untyped
    """Faust's Kafka transport with the corrected consumer (see consumer.py). Topics are raw bytes:
    `app.topic(name, value_type=bytes, value_serializer="raw")`. Nothing is produced through it; the durable publisher
    does that."""

    Consumer = Consumer

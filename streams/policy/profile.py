"""What customer data says of a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from connectors.values import named_value
from schemas.records import Channel


@named_value
class Profile:
    """One person; every field is unknown where the source does not say.

    Attributes:
        customer_id: id in the company's own customer data.
        time_zone: IANA name, such as `America/Chicago`.
        locale: BCP 47 language tag.
        country: ISO 3166 alpha-2.
        state: state of the USA, two letters.
        preferred_channel: the channel the person asked for.
        carrier: who serves the number, by name or codes, as the source calls it (`connectors.twilio.carriers`).
        variables: values for templates, by name.
    """

    customer_id: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    country: str | None = None
    state: str | None = None
    preferred_channel: Channel | None = None
    carrier: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

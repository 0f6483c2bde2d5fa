"""One Twilio account or subaccount as commlayer is configured to use it."""

from __future__ import annotations

from dataclasses import dataclass, field

TWILIO_API = "https://api.twilio.com"
"""Twilio's API in region us1; other regions and edges are `https://api.<edge>.<region>.twilio.com`."""


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials and address of one account. Its secrets never show in `repr`, logs or tracebacks.

    Attributes:
        name: configured name, used in records and logs.
        sid: account SID that stands in the URL path (`AC` and 32 hex digits).
        api_user: `AC…` with the auth token as password, or `SK…` with the key's secret.
        api_password: the secret that belongs to `api_user`.
        base_url: where the API is; requests for other Twilio hosts go to the same region and edge, or all to this
            place when it is not Twilio's own (a twin, a proxy).
        signing_tokens: auth tokens that may sign this account's webhooks: the primary one, and during rotation both.
            API key secrets never sign.
    """

    name: str
    sid: str
    api_user: str
    api_password: str = field(repr=False)
    base_url: str = TWILIO_API
    signing_tokens: tuple[str, ...] = field(default=(), repr=False)

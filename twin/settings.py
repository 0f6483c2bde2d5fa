"""What a twin is set up with: accounts, senders, services, what becomes of messages, and which troubles it makes.

Read from YAML or JSON by `TwinSettings.load`, or built in Python. A mistake is refused with its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from .part import Part
from .ten_dlc_settings import TenDlcSettings

HOUR = 3600

# Segments per second of a sender, from Twilio's table of rates (support article 115002943027).
DEFAULT_RATES = {"long_code": 1.0, "toll_free": 3.0, "short_code": 100.0, "alphanumeric": 10.0, "whatsapp": 80.0}
# A sender's queue holds what it sends in this time; WhatsApp kept the shorter one when SMS went from 4 h to 10 h.
QUEUE_HOURS = {"whatsapp": 4.0}
DEFAULT_QUEUE_HOURS = 10.0

DEMO_ACCOUNT = "AC" + "7" * 32
DEMO_TOKEN = "twin-primary-token"  # noqa: S105 the twin is no secret
TEST_ACCOUNT = "AC" + "8" * 32
TEST_TOKEN = "twin-test-token"  # noqa: S105

SenderType = Literal["long_code", "toll_free", "short_code", "alphanumeric", "whatsapp"]
Sid = Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9a-fA-F]{32}$")]


def _span(value: object) -> object:
    return (value, value) if isinstance(value, int | float) else value


# Seconds, either one number or [from, to] (drawn evenly).
Span = Annotated[tuple[float, float], BeforeValidator(_span)]


class AccountSettings(Part):
    """An account with its credentials.

    Attributes:
        sid, auth_token: the primary token signs webhooks.
        secondary_auth_token: a second token that requests may use while the first is being changed.
        api_keys: secret by SK sid.
        parent: the account whose credentials may act for this subaccount.
        test: test credentials: magic numbers, nothing is kept, no callback is sent.
        trial: bodies get the trial prefix, only verified numbers are reached.
        concurrency: requests in flight before 20429; None for no cap.
        allowed_prefixes, denied_prefixes: geo permissions by the beginning of To; None allows all.
        scheduled_limit: messages that may wait scheduled.
    """

    sid: Sid
    auth_token: str
    secondary_auth_token: str | None = None
    api_keys: dict[str, str] = Field(default_factory=dict)
    parent: Sid | None = None
    test: bool = False
    trial: bool = False
    verified: tuple[str, ...] = ()
    concurrency: int | None = None
    allowed_prefixes: tuple[str, ...] | None = None
    denied_prefixes: tuple[str, ...] = ()
    scheduled_limit: int = 500_000


class SenderSettings(Part):
    """A number, short code, alphanumeric id or WhatsApp sender (`whatsapp:+…`).

    Attributes:
        address: as in From.
        account: sid; the first account where absent.
        type: sets the default rate, queue and opt-out handling; guessed from the address where absent.
        rate: segments per second (messages for MMS and WhatsApp).
        queue_hours: how much of its rate may wait before 21611.
        mms: whether media may be sent.
        country: ISO code; a short code reaches only numbers of its country's prefix.
        inbound_url, inbound_method, fallback_url: where messages from people go.
    """

    address: str
    account: Sid | None = None
    type: SenderType | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    queue_hours: float | None = None
    mms: bool = True
    sms: bool = True
    country: str | None = None
    inbound_url: str | None = None
    inbound_method: Literal["POST", "GET"] = "POST"
    fallback_url: str | None = None


class ServiceSettings(Part):
    """A Messaging Service.

    Attributes:
        senders: addresses of its pool.
        choose_after_s: how long `accepted` lasts.
        use_inbound_webhook_on_number: whether the sender's own URL gets what people write (Twilio's default).
        advanced_opt_out: keywords are handled for every sender type and reported as OptOutType.
    """

    sid: Sid
    account: Sid | None = None
    senders: tuple[str, ...] = ()
    status_callback: str | None = None
    inbound_url: str | None = None
    fallback_url: str | None = None
    use_inbound_webhook_on_number: bool = True
    sticky_sender: bool = True
    smart_encoding: bool = False
    advanced_opt_out: bool = False
    validity_period: int = 36_000
    choose_after_s: float = 0.05


class ApplicationSettings(Part):
    """An application whose MessageStatusCallback is used when a message names it."""

    sid: Sid
    status_callback: str


class ContentSettings(Part):
    """A template; `{{1}}` in its body is replaced by a variable."""

    sid: Sid
    body: str
    media: tuple[str, ...] = ()


class Outcome(Part):
    """What becomes of a message after it left its sender's queue.

    Attributes:
        status: delivered, undelivered, read, failed (never handed over), or sent (no report ever comes).
        error_code: with undelivered and failed.
        sent_after_s, final_after_s, read_after_s: from leaving the queue to sent, on to the report, on to read.
    """

    status: Literal["delivered", "undelivered", "failed", "sent", "read"] = "delivered"
    error_code: int | None = None
    sent_after_s: Span = (0.0, 0.05)
    final_after_s: Span = (0.05, 0.3)
    read_after_s: Span = (0.5, 2.0)

    @model_validator(mode="after")
    def _failure_has_a_code(self) -> Outcome:
        if self.status in ("undelivered", "failed") and self.error_code is None:
            raise ValueError(f"{self.status} needs an error_code")
        return self


class OutcomeRule(Outcome):
    """An outcome for some recipients; the first rule that matches decides.

    Attributes:
        to, to_prefix, to_suffix, from_address, body_contains: what is given must hold.
        share: part of the matching messages, drawn by seed, To and the how-manieth message to it.
        first: only the first n messages to a recipient (a retry then gets on).
        refuse: answer the request with this error; with a Messaging Service the message fails with it later.
    """

    to: tuple[str, ...] = ()
    to_prefix: str = ""
    to_suffix: str = ""
    from_address: str | None = None
    body_contains: str = ""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    first: int | None = None
    refuse: int | None = None


class OutcomeSettings(Part):
    """All outcomes, and the seed of what is drawn."""

    seed: int = 1
    default: Outcome = Outcome()
    rules: tuple[OutcomeRule, ...] = ()


class RequestFault(Part):
    """A trouble with requests to the API.

    Attributes:
        kind: latency; throttle (20429); error_before and error_after (5xx, the message not accepted or accepted);
            reset_before and reset_after (the connection is torn); hang_before and hang_after (no answer for `delay_s`,
            then torn); drip (the request is served, and its answer comes byte by byte, over `delay_s`).
        on: create, or read for the others, or any.
        share: part of the matching requests, drawn by the plan's seed.
        skip, first: leave out the first so many matching requests, then trouble only so many.
        from_s, until_s: only in this time since the plan was set, on the twin's clock.
        every_s: that time comes again so often.
        to_prefix, to_suffix, from_address: only creates like these.
        delay_s: seconds of real time for latency, hang and drip.
        spread: how `delay_s` is drawn: evenly between the two, or with a long tail, as latencies of services are (log
            normal, the first number its median and the second its 99th percentile).
        at_most_s: no delay is longer, however long the tail; None: it has no end.
        status: of error_before and error_after.
    """

    kind: Literal[
        "latency",
        "throttle",
        "error_before",
        "error_after",
        "reset_before",
        "reset_after",
        "hang_before",
        "hang_after",
        "drip",
    ]
    on: Literal["create", "read", "any"] = "create"
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    skip: int = 0
    first: int | None = None
    from_s: float = 0.0
    until_s: float | None = None
    every_s: Annotated[float, Field(gt=0)] | None = None
    to_prefix: str = ""
    to_suffix: str = ""
    from_address: str | None = None
    delay_s: Span = (0.1, 0.1)
    spread: Literal["even", "long_tail"] = "even"
    at_most_s: float | None = None
    status: Literal[500, 502, 503, 504] = 503

    @model_validator(mode="after")
    def _a_tail_has_a_median(self) -> RequestFault:
        if self.spread == "long_tail" and not 0 < self.delay_s[0] <= self.delay_s[1]:
            raise ValueError("delay_s with a long tail is [median, 99th percentile], the median above 0")
        return self


class CallbackFault(Part):
    """A trouble with webhooks.

    Attributes:
        kind: lose, duplicate (`copies` more), delay (which reorders), extra (an unknown parameter, signed).
        on: status, inbound or any.
        statuses: only callbacks of these message statuses.
    """

    kind: Literal["lose", "duplicate", "delay", "extra"]
    on: Literal["status", "inbound", "any"] = "status"
    statuses: tuple[str, ...] = ()
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    first: int | None = None
    copies: int = 1
    delay_s: Span = (0.5, 0.5)


class ListingLag(Part):
    """How long some messages are missing from lists after they were accepted; the first that matches decides."""

    lag_s: Span
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    to_prefix: str = ""
    to_suffix: str = ""


class FaultSettings(Part):
    """The fault plan.

    Attributes:
        listing_lags: how long some of the accepted messages are missing from lists.
        listing_lag_s: how long all others are.
    """

    seed: int = 1
    requests: tuple[RequestFault, ...] = ()
    callbacks: tuple[CallbackFault, ...] = ()
    listing_lags: tuple[ListingLag, ...] = ()
    listing_lag_s: Span = (0.0, 0.0)


class WebhookSettings(Part):
    """How webhooks are called: how many at once, and the pause between tries (Twilio does not tell; ours is short)."""

    concurrency: int = 128
    retry_pause_s: float = 0.1


class TwinSettings(Part):
    """Everything a twin is set up with.

    Attributes:
        clock: real, or virtual (moved by `/__twin__/clock`).
        start: where a virtual clock begins, seconds since the epoch; now where absent.
        clock_skew_s: how far a real clock is ahead of the machine's.
        price_after_s: from sent to priced.
        whatsapp_window: whether free-form WhatsApp outside 24 h after the person's last message fails with 63016.
    """

    clock: Literal["real", "virtual"] = "real"
    start: float | None = None
    clock_skew_s: float = 0.0
    accounts: Annotated[tuple[AccountSettings, ...], Field(min_length=1)]
    senders: tuple[SenderSettings, ...] = ()
    services: tuple[ServiceSettings, ...] = ()
    ten_dlc: TenDlcSettings = TenDlcSettings()
    applications: tuple[ApplicationSettings, ...] = ()
    contents: tuple[ContentSettings, ...] = ()
    outcomes: OutcomeSettings = OutcomeSettings()
    faults: FaultSettings = FaultSettings()
    webhooks: WebhookSettings = WebhookSettings()
    price_after_s: float = 1.0
    whatsapp_window: bool = True

    @model_validator(mode="after")
    def _names_exist(self) -> TwinSettings:
        accounts = {account.sid for account in self.accounts}
        senders = {sender.address for sender in self.senders}
        owners = [(f"senders.{at}", part.account) for at, part in enumerate(self.senders)]
        owners += [(f"services.{at}", part.account) for at, part in enumerate(self.services)]
        for path, owner in owners:
            if owner is not None and owner not in accounts:
                raise ValueError(f"{path}.account: no account {owner}")
        for at, campaign in enumerate(self.ten_dlc.campaigns):
            for address in campaign.senders:
                if address not in senders:
                    raise ValueError(f"ten_dlc.campaigns.{at}.senders: no sender {address}")
        for at, service in enumerate(self.services):
            for address in service.senders:
                if address not in senders:
                    raise ValueError(f"services.{at}.senders: no sender {address}")
        return self

    @classmethod
    def load(cls, path: Path) -> TwinSettings:
        """Read a YAML or JSON file. Raises `pydantic.ValidationError` with the path of each mistake."""
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})

    @classmethod
    def demo(cls) -> TwinSettings:
        """A twin to play with: one account, one of test credentials, one sender of each type, one service."""
        return cls(
            accounts=(
                AccountSettings(sid=DEMO_ACCOUNT, auth_token=DEMO_TOKEN),
                AccountSettings(sid=TEST_ACCOUNT, auth_token=TEST_TOKEN, test=True),
            ),
            senders=(
                SenderSettings(address="+15005551001", type="long_code"),
                SenderSettings(address="+18005551002", type="toll_free"),
                SenderSettings(address="55103", type="short_code", country="US"),
                SenderSettings(address="TWIN", type="alphanumeric"),
                SenderSettings(address="whatsapp:+15005551004", type="whatsapp"),
            ),
            services=(ServiceSettings(sid="MG" + "7" * 32, senders=("+15005551001", "+18005551002")),),
        )

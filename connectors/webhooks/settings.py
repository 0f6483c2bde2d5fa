"""What the bridge needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from connectors.twilio.account import Account
from connectors.twilio.keywords import KeywordPacks


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Settings of the bridge.

    Attributes:
        public_url: base of the URLs that Twilio was given, as Twilio sees it (scheme, host, port, path prefix). Its
            signatures cover it, so it is configured and never guessed from headers. A proxy must strip its path prefix.
        accounts: whose webhooks are accepted; each needs its signing tokens.
        host, port: where to listen; port 0 takes any free one.
        max_body: larger bodies get 413. Twilio's have 2 kB.
        max_in_flight: webhooks being read, and records that Kafka has not acknowledged yet, at most; beyond it 503.
        read_within_s: a body that takes longer gets 408. Twilio sends it at once.
        answer_within_s: from the first byte to 503 when Kafka does not acknowledge. Twilio waits 15 s, and with the
            retries that our URLs ask for all tries together get those 15 s.
        retry_after_s: told with every 503.
        drain_s: how long a stopping bridge waits for webhooks in flight.
        keyword_packs: keywords of inbound messages; those shipped when None.
    """

    public_url: str
    accounts: tuple[Account, ...] = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 64 * 1024
    max_in_flight: int = 2000
    read_within_s: float = 4.0
    answer_within_s: float = 9.0
    retry_after_s: int = 1
    drain_s: float = 15.0
    keyword_packs: KeywordPacks | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("public_url must be an http or https URL without query and fragment")
        if not self.accounts:
            raise ValueError("the bridge needs at least one account")

    def signed_url(self, target: str) -> str:
        """The URL that Twilio signed for a request with this target (raw path and query)."""
        return self.public_url.rstrip("/") + target

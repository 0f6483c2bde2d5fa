"""Twilio's Messages: create one, look one up, list those to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from schemas.records import Channel, Dispatch

from .account import TWILIO_API, Account
from .addresses import format_address
from .answers import (
    Answer,
    InDoubt,
    Listing,
    Missing,
    NotSent,
    Rejected,
    SentMessage,
    Unavailable,
    http_date_ms,
    json_object,
    message_of,
    read_create,
    read_error,
    read_message,
)
from .errors import ErrorPolicy, TwilioError
from .http import AnswerLost, Form, RequestNotSent, RequestWithheld, Turn, TwilioSession
from .parameters import ParameterError, create_parameters

PAGE_SIZE = 1000
"""Twilio's maximum."""

MAX_PAGES = 5
"""A person who got more messages than this since the time asked for is listed incompletely, and the listing says so."""


class Messages:
    """The Messages API of every account of a process, by the official SDK's client over one session.

    Requests go through the client itself and not through its resources (`client.messages.create_async`): those lack
    Tags, and raise two kinds of exceptions, TwilioRestException and TwilioServiceException, without the headers.
    Everything Twilio or the network may do comes back as a value; exceptions are bugs of ours.
    """

    def __init__(self, session: TwilioSession, *, now_ms: Callable[[], int], policy: ErrorPolicy | None = None) -> None:
        self._session = session
        self._now_ms = now_ms
        self._policy = policy or ErrorPolicy()

    async def create(
        self,
        account: Account,
        order: Dispatch,
        *,
        status_callback: str | None,
        attempt: int | None = None,
        turn: Turn | None = None,
    ) -> Answer:
        """POST one message, once.

        An order that breaks one of Twilio's limits is `Rejected` with the code that Twilio would give, and not sent.

        Args:
            account: whose credentials and URL to use.
            order: what to send.
            status_callback: URL for status callbacks.
            attempt: total number of tries of this message, this one included; informational.
            turn: asked right before the first byte is written; if it says None, the answer is `NotSent(withheld=True)`.
        """
        try:
            parameters = create_parameters(
                order, status_callback=status_callback, now_ms=self._now_ms(), attempt=attempt
            )
        except ParameterError as error:
            return Rejected(TwilioError(error.code, str(error), None, self._policy.classify(error.code)))
        url = f"{TWILIO_API}/2010-04-01/Accounts/{account.sid}/Messages.json"
        try:
            form = Form(parameters, turn)
            response = await self._session.client(account).request_async("POST", url, data=form)
        except RequestNotSent as error:
            return NotSent(str(error), withheld=isinstance(error, RequestWithheld))
        except AnswerLost as error:
            return InDoubt(str(error))
        return read_create(response.status_code, response.text, response.headers, self._policy)

    async def fetch(self, account: Account, sid: str) -> SentMessage | Missing | Rejected | Unavailable:
        """Look up one message by its SID."""
        url = f"{TWILIO_API}/2010-04-01/Accounts/{account.sid}/Messages/{sid}.json"
        try:
            response = await self._session.client(account).request_async("GET", url)
        except (RequestNotSent, AnswerLost) as error:
            return Unavailable(str(error))
        if response.status_code == 404:
            return Missing()
        if response.status_code != 200:
            return self._refused(read_error(response.status_code, response.text, self._policy))
        return read_message(response.text) or Unavailable("the answer is no message")

    async def list_to(
        self, account: Account, to: str, since_ms: int, *, channel: Channel = Channel.SMS
    ) -> Listing | Rejected | Unavailable:
        """Messages to one address that were created at or after a time.

        Twilio filters by `To` alone: it cannot filter by creation, and a message that has not left has no DateSent.
        It lists the newest first, so reading stops at the first page that holds nothing new enough.

        Args:
            account: whose messages.
            to: number without channel prefix.
            since_ms: epoch milliseconds UTC, by Twilio's clock.
            channel: decides the prefix of the address.
        """
        client = self._session.client(account)
        url: str = f"{TWILIO_API}/2010-04-01/Accounts/{account.sid}/Messages.json"
        query: Mapping[str, str | int] | None = {"To": format_address(channel, to), "PageSize": PAGE_SIZE}
        found: list[SentMessage] = []
        date_ms: int | None = None
        for _ in range(MAX_PAGES):
            try:
                response = await client.request_async("GET", url, params=query)
            except (RequestNotSent, AnswerLost) as error:
                return Unavailable(str(error))
            if response.status_code != 200:
                return self._refused(read_error(response.status_code, response.text, self._policy))
            page = _page(response.text)
            if page is None:
                return Unavailable("the answer is no list of messages")
            date_ms = http_date_ms(response.headers.get("Date"))
            messages, next_page = page
            # A message without a time of creation might be the one looked for.
            fresh = [each for each in messages if each.date_created_ms is None or each.date_created_ms >= since_ms]
            found += fresh
            if next_page is None or not fresh:
                return Listing(tuple(found), complete=True, date_ms=date_ms)
            url, query = TWILIO_API + next_page, None
        return Listing(tuple(found), complete=False, date_ms=date_ms)

    @staticmethod
    def _refused(error: TwilioError) -> Rejected | Unavailable:
        # A question may always be asked again: what would leave a POST in doubt only delays the answer here.
        status = error.http_status or 0
        return Unavailable(f"HTTP {status}") if status >= 500 or status in (408, 429) else Rejected(error)


def _page(text: str) -> tuple[list[SentMessage], str | None] | None:
    body = json_object(text)
    rows, next_page = body.get("messages"), body.get("next_page_uri")
    if not isinstance(rows, list) or not (next_page is None or isinstance(next_page, str)):
        return None
    messages = [message for row in rows if isinstance(row, dict) and (message := message_of(row)) is not None]
    return (messages, next_page or None) if len(messages) == len(rows) else None

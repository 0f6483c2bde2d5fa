"""A person writes: what Twilio keeps, which webhooks it calls, and what it does with the answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twin import compose
from twin.addresses import Address, parse
from twin.clock import Clock
from twin.create import MAX_VALIDITY_S, Draft
from twin.directory import Directory
from twin.inbound import inbound_fields, webhook_urls
from twin.journey import Journey
from twin.messages import Message
from twin.notices import Notices
from twin.optouts import OptOuts
from twin.outcomes import Fate
from twin.senders import Sender
from twin.settings import Outcome
from twin.store import Store
from twin.twiml import Reply

_ANSWERED = Fate(Outcome(final_after_s=(0.0, 0.0)), None, 0.0)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an inbound message.

    Attributes:
        sid: of the message.
        intent: STOP, START or HELP where Twilio handled a keyword.
        called: the webhooks that were called, the fallback too.
        replies: sids of the messages that answered: Twilio's own first, then those of the TwiML.
        error_code: of a failed webhook or a mistake in its TwiML.
    """

    sid: str
    intent: str | None
    called: tuple[str, ...]
    replies: tuple[str, ...]
    error_code: int | None

    def as_json(self) -> dict[str, object]:
        """For the control endpoint."""
        return {
            "sid": self.sid,
            "intent": self.intent,
            "called": list(self.called),
            "replies": list(self.replies),
            "error_code": self.error_code,
        }


class Inbox:
    """Takes messages from people.

    Attributes:
        last: when each (sender, person) wrote last.
    """

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        store: Store,
        optouts: OptOuts,
        notices: Notices,
        journey: Journey,
        seq: itertools.count[int],
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._store = store
        self._optouts = optouts
        self._notices = notices
        self._journey = journey
        self._seq = seq
        self.last: dict[tuple[str, str], float] = {}

    async def receive(
        self, from_address: str, to: str, body: str, media: Sequence[str], extra: Mapping[str, str]
    ) -> Receipt:
        """A person writes to a sender. Returns when webhook and fallback were tried and replies accepted.

        Args:
            from_address, to: with `whatsapp:` where that is the channel.
            extra: more fields of the webhook, e.g. ButtonText or FromCity.

        Raises:
            KeyError: there is no such sender.
        """
        sender = self._directory.senders[parse(to).text]
        service = self._directory.service_of(sender)
        person, now = parse(from_address), self._clock.now()
        message = compose.inbound(person, sender, service, body, media, seq=next(self._seq), now=now)
        self._store.add(message)
        self.last[sender.address, message.person] = now
        handling = self._optouts.inbound(
            body,
            account=sender.account.sid,
            scopes=(sender.address,) if service is None else (sender.address, service.sid),
            person=message.person,
            sender_type=sender.type,
            advanced=service is not None and service.settings.advanced_opt_out,
        )
        replies: list[str] = []
        if handling is not None and handling.reply is not None:
            replies.append(self._reply(person, sender, Reply(handling.reply)).sid)
        opt_out_type = handling.intent if handling is not None and handling.opt_out_type else None
        fields = inbound_fields(message, service, opt_out_type=opt_out_type, extra=extra)
        called: list[str] = []
        error_code: int | None = None
        for url in webhook_urls(sender, service):
            if url is None:
                continue
            if error_code is not None:
                fields = [*fields, ("ErrorCode", str(error_code)), ("ErrorUrl", called[-1])]
            called.append(url)
            answer = await self._notices.ask(message, sender, url, fields)
            if not isinstance(answer, int):
                replies += [self._reply(person, sender, one).sid for one in answer]
                error_code = None
                break
            error_code = answer
        return Receipt(message.sid, handling.intent if handling else None, tuple(called), tuple(replies), error_code)

    def _reply(self, person: Address, sender: Sender, reply: Reply) -> Message:
        """Accept an answer. Twilio's own pass the opt-outs they are about, and so do those of TwiML here."""
        if reply.from_address:
            sender = self._directory.senders.get(parse(reply.from_address).text, sender)
        draft = Draft(
            to=parse(reply.to) if reply.to else person,
            sender=sender,
            service=None,
            body=reply.body,
            media=reply.media,
            status_callback=reply.status_callback,
            validity_s=MAX_VALIDITY_S,
            send_at=None,
            smart_encoded=False,
            provide_feedback=False,
            templated=False,
        )
        now = self._clock.now()
        message = compose.outbound(draft, sender.account, seq=next(self._seq), received=now, now=now)
        message.direction = "outbound-reply"
        self._store.add(message)
        self._journey.begin(message, _ANSWERED)
        return message

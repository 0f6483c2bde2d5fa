"""Makes message records."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from urllib.parse import urlsplit

from twin.accounts import Account
from twin.addresses import Address
from twin.create import Draft
from twin.messages import Media, Message, new_sid
from twin.pools import Service
from twin.segments import count, smart_encode
from twin.senders import Sender

TRIAL_PREFIX = "Sent from your Twilio trial account - "


def outbound(draft: Draft, account: Account, *, seq: int, received: float, now: float, lag_s: float = 0.0) -> Message:
    """The message of an acceptable request.

    Args:
        received: when the request began to arrive.
        lag_s: how long lists will not show it.
    """
    sender, service = draft.sender, draft.service
    body = TRIAL_PREFIX + draft.body if account.settings.trial and draft.body else draft.body
    if draft.smart_encoded:
        body = smart_encode(body)
    parts = _parts(body, channel=draft.to.channel, media=bool(draft.media))
    return Message(
        seq=seq,
        sid=new_sid("MM" if draft.media else "SM"),
        account=account,
        direction="outbound-api",
        to=draft.to.text,
        person=draft.to.person,
        channel=draft.to.channel,
        body=body,
        submitted=draft.body,
        segments=parts,
        cost=parts,
        lane=sender.address if sender is not None else service.sid if service is not None else "",
        received=received,
        accepted=now,
        sender=sender,
        from_=None if sender is None else sender.address,
        service=service,
        media=[_media(url, now) for url in draft.media],
        status_callback=draft.status_callback,
        validity_s=draft.validity_s,
        send_at=draft.send_at,
        templated=draft.templated,
        provide_feedback=draft.provide_feedback,
        listed_from=now + lag_s,
    )


def inbound(
    person: Address,
    sender: Sender,
    service: Service | None,
    body: str,
    media: Sequence[str],
    *,
    seq: int,
    now: float,
) -> Message:
    """A message from a person, received and final."""
    parts = _parts(body, channel=person.channel, media=bool(media))
    message = Message(
        seq=seq,
        sid=new_sid("MM" if media else "SM"),
        account=sender.account,
        direction="inbound",
        to=sender.address,
        person=person.person,
        channel=person.channel,
        body=body,
        submitted=body,
        segments=parts,
        cost=parts,
        lane=sender.address,
        received=now,
        accepted=now,
        sender=sender,
        from_=person.text,
        service=service,
        media=[_media(url, now) for url in media],
        status="received",
        history=[("received", now)],
        updated=now,
        sent=now,
    )
    for file in message.media:
        file.url = f"https://api.twilio.com{message.path}/Media/{file.sid}"
    return message


def _parts(body: str, *, channel: str, media: bool) -> int:
    """Segments of a text; MMS and WhatsApp go as one message whatever their size."""
    return 1 if media or channel != "sms" else count(body).segments


def _media(url: str, now: float) -> Media:
    guessed = mimetypes.guess_type(urlsplit(url).path)[0]
    return Media(new_sid("ME"), url, guessed or "application/octet-stream", now)

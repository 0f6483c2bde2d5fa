"""What an inbound webhook answered: replies, or the code of the mistake in it."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

MAX_REPLIES = 10
_XML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})
_TOO_LARGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """One `<Message>`."""

    body: str
    media: tuple[str, ...] = ()
    to: str | None = None
    from_address: str | None = None
    status_callback: str | None = None


def read(answer: bytes, content_type: str) -> list[Reply] | int:
    """Replies of an answer, or an error code.

    `text/plain` is sent back to the person as it is (docs: api/twiml/sms/your_response), a trap for handlers that
    answer "ok".
    """
    if not answer.strip():
        return []
    if len(answer) > _TOO_LARGE:
        return 11750
    if content_type == "text/plain":
        return [Reply(answer.decode("utf-8", "replace"))]
    if content_type not in _XML_TYPES:
        return 12300
    try:
        root = ElementTree.fromstring(answer)
    except ElementTree.ParseError:
        return 12100
    if root.tag != "Response":
        return 12102
    replies: list[Reply] = []
    for verb in root:
        if verb.tag not in ("Message", "Sms"):
            return 14110
        replies.append(_reply(verb))
    if any(not reply.body and not reply.media for reply in replies):
        return 14103
    return replies if len(replies) <= MAX_REPLIES else 14109


def _reply(verb: ElementTree.Element) -> Reply:
    bodies = verb.findall("Body")
    text = "".join(part.text or "" for part in bodies) if bodies else (verb.text or "").strip()
    return Reply(
        body=text,
        media=tuple((part.text or "").strip() for part in verb.findall("Media")),
        to=verb.get("to"),
        from_address=verb.get("from"),
        status_callback=verb.get("statusCallback") or verb.get("action"),
    )

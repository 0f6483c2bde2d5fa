"""What a message says, once that is settled."""

from __future__ import annotations

from dataclasses import field

from connectors.values import named_value


@named_value
class Wording:
    """The content as it goes to dispatch.

    Attributes:
        body: rendered text, with its unsubscribe line; None for media alone and Content templates.
        content_sid, variables: Content template and what fills it.
        shorten_urls: what the template says of it.
        facts: template, version and locale, for the message's story.
    """

    body: str | None = None
    content_sid: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    shorten_urls: bool | None = None
    facts: dict[str, str] = field(default_factory=dict)

"""What a person's message asks for, where the bridge has not said so already.

Which message it answers (`app`, `in_reply_to`, `campaign`) is left open: that needs the conversation, which is state of
its own (comms.conversations) and not something to be guessed from what this process happens to remember.
"""

from __future__ import annotations

from dataclasses import replace

from connectors.twilio import addresses, keywords
from schemas.records import Inbound


def understood(inbound: Inbound) -> Inbound:
    """The message with its keyword, if its whole text is one."""
    if inbound.keyword_intent is not None:
        return inbound
    sender = addresses.format_address(inbound.channel, inbound.sender)
    found = keywords.match(inbound.body, addresses.sender_type(sender))
    return inbound if found is None else replace(inbound, keyword_intent=found.intent, keyword=found.keyword)

"""What one round of a message hands to the next, whichever stages they are of: policy writes it, dispatch and feedback
send a message back with it."""

from __future__ import annotations

from .returning import request_of

FALLBACK_CHANNELS = "fallback_channels"
"""Fact of an admitted message: channels that are left, separated by commas. Feedback goes on with them."""

URGENT_HEADER = "commlayer-urgent"
"""On a record of the wheel that is of a critical message: policy must know its turn before it decodes the record."""
URGENT_HEADERS = ((URGENT_HEADER, b"1"),)

__all__ = ["FALLBACK_CHANNELS", "URGENT_HEADER", "URGENT_HEADERS", "request_of"]

"""What one round of a message hands to the next, whichever stages they are of: policy writes it, dispatch and feedback
send a message back with it."""

from __future__ import annotations

from .returning import request_of

FALLBACK_CHANNELS = "fallback_channels"
"""Fact of an admitted message: channels that are left, separated by commas. Feedback goes on with them."""

__all__ = ["FALLBACK_CHANNELS", "request_of"]

"""Whether an app's cancellation names a message, and what is passed on of it."""

from __future__ import annotations

import re
from dataclasses import replace

from schemas import ids
from schemas.limits import IDEMPOTENCY_KEY_MAX
from schemas.reasons import Reason
from schemas.records import Cancellation
from streams.numbers import E164

from .config import PolicyConfig
from .verdict import Deny

_MESSAGE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REASON_MAX = 256  # it becomes part of the message's story
_FIX_NAME = "Give either the message_id that the app was told or the idempotency_key of the request."


def passed_on(cancellation: Cancellation, app: str, config: PolicyConfig) -> Cancellation | Deny:
    """The cancellation with its message id, under the app it came from, or what is wrong with it.

    Whether the message is that app's own is for dispatch to see: its record names the app.
    """
    if app not in config.apps:
        return Deny(
            Reason.UNKNOWN_APP, None, f"No app {app!r} is configured.", "Write to the topic of a configured app."
        )
    if E164.fullmatch(cancellation.recipient) is None:
        return Deny(
            Reason.INVALID_RECIPIENT, "recipient", "It is no E.164 number.", "Give the recipient of the request."
        )
    key, message_id = cancellation.idempotency_key, cancellation.message_id
    if (key is None) == (message_id is None):
        what = "It names no message." if key is None else "It names a message twice."
        return Deny(Reason.INVALID_FIELD, "message_id", what, _FIX_NAME)
    if message_id is not None and _MESSAGE_ID.fullmatch(message_id) is None:
        return Deny(Reason.INVALID_FIELD, "message_id", "It is no message id.", _FIX_NAME)
    if key is not None:
        if not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
            return Deny(Reason.INVALID_FIELD, "idempotency_key", f"It has {len(key)} characters.", _FIX_NAME)
        message_id = ids.message_id_by_key(app, cancellation.recipient, key)
    reason = cancellation.reason[:_REASON_MAX] if cancellation.reason is not None else None
    return replace(cancellation, message_id=message_id, app=app, reason=reason)

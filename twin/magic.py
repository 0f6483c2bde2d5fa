"""Test credentials: answers by magic numbers; nothing is kept, charged or sent (docs: iam/test-credentials)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twin.addresses import masked
from twin.create import read_to
from twin.errors import ApiError, refuse

VALID_FROM = "+15005550006"

_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}


def judge(form: Mapping[str, str], media: Sequence[str]) -> ApiError | None:
    """The refusal of a create with test credentials, or None where it is accepted."""
    to = read_to(form)
    if isinstance(to, ApiError):
        return to
    if _TO.get(to.text) == 21211:
        return refuse(21211, to=to.text)
    sender = form.get("From")
    if not sender:
        return refuse(21603)
    if sender != VALID_FROM:
        return refuse(_FROM.get(sender, 21606), sender=sender)
    if not form.get("Body") and not media:
        return refuse(21602)
    code = _TO.get(to.text)
    if code is None:
        return None
    return refuse(code, to=to.text, sender=sender, masked=masked(to.text), via="MMS")

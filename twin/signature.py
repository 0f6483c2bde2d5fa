"""How Twilio signs a webhook (`X-Twilio-Signature`): our own implementation, shared with nobody."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable


def sign(token: str, url: str, fields: Iterable[tuple[str, str]] = (), *, algorithm: str = "sha1") -> str:
    """Sign a request.

    Args:
        token: the account's primary auth token.
        url: the full URL as configured; its fragment is not signed.
        fields: the decoded form fields of a POST; none for a GET or a JSON body (whose hash stands in the URL).
        algorithm: "sha1", or "sha256" where the webhook is configured so.

    Returns:
        Base64 of the HMAC over the URL and each distinct (name, value), sorted.
    """
    text = url.partition("#")[0] + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(token.encode(), text.encode(), algorithm)).decode()


def body_sha256(body: bytes) -> str:
    """What a JSON webhook carries as `bodySHA256` in its query."""
    return hashlib.sha256(body).hexdigest()

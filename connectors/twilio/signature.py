"""Whether a webhook comes from Twilio: X-Twilio-Signature, checked without ever raising on what a stranger sends.

Twilio signs `URL + sorted parameters` with the auth token of the account that the webhook is about:
base64(HMAC-SHA1). Requests by a shared key (2026) may use SHA-256. A JSON body is covered by its hash, `bodySHA256`
in the query. The URL is the one that Twilio was configured with; its fragment (connection overrides) is not sent
and not signed. With or without the default port, and with `'` written as `%27` or not, Twilio's back ends differ:
each form counts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from urllib.parse import parse_qsl

SIGNATURE_HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
"""Present on requests signed with a shared key: `key=webhooks_sharedkey_…,algorithm=HMAC_SHA256`."""

HMAC_SHA1, HMAC_SHA256 = "HMAC_SHA1", "HMAC_SHA256"
_HASHES = {HMAC_SHA1: hashlib.sha1, HMAC_SHA256: hashlib.sha256}

Parameters = Sequence[tuple[str, str]]
"""Form parameters in any order, names repeated as received, blank values kept."""


class Verdict(StrEnum):
    """Outcome of a check; only `GENUINE` may be believed."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_BODY_HASH = "wrong_body_hash"


def compute_signature(token: str, url: str, parameters: Parameters = (), algorithm: str = HMAC_SHA1) -> str:
    """The signature that Twilio sends for exactly this URL (without fragment) and these form parameters.

    Raises:
        KeyError: the algorithm is unknown.
    """
    return _sign(token.encode(), _signed(url, parameters), algorithm)


def algorithm_of(settings_header: str | None) -> str:
    """Algorithm named by the settings header; HMAC_SHA1 where it is absent or names none."""
    for part in (settings_header or "").split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return HMAC_SHA1


def url_forms(url: str) -> tuple[str, ...]:
    """The forms of a URL that Twilio may have signed: no fragment, with and without port, `'` plain and escaped."""
    url = url.partition("#")[0]
    forms = dict.fromkeys((url, *_port_forms(url)))
    forms |= dict.fromkeys(_escaped_quotes(form) for form in tuple(forms))
    return tuple(forms)


class SignatureChecker:
    """Checks webhooks of the accounts it was given; anybody else's are refused."""

    def __init__(self, tokens: Mapping[str, Iterable[str]]) -> None:
        """Take the signing tokens of each account by account SID: the primary one, or two during a rotation.

        Raises:
            ValueError: an account has no token, or an empty one (with which anybody could sign).
        """
        self._tokens = {sid: tuple(token.encode() for token in each) for sid, each in tokens.items()}
        for sid, each in self._tokens.items():
            if not each or not all(each):
                raise ValueError(f"account {sid} needs at least one signing token, none of them empty")

    def check_form(
        self,
        account_sid: str | None,
        url: str,
        parameters: Parameters,
        signature: str | None,
        algorithm: str = HMAC_SHA1,
    ) -> Verdict:
        """Check a form POST, or with no parameters a GET.

        Args:
            account_sid: AccountSid as the request states it; it only picks the tokens.
            url: configured public URL with the path and query received.
            parameters: everything in the body.
            signature: header as received, None where absent.
            algorithm: see `algorithm_of`.
        """
        return self._check(account_sid, url, parameters, signature, algorithm)

    def check_json(
        self, account_sid: str | None, url: str, body: bytes, signature: str | None, algorithm: str = HMAC_SHA1
    ) -> Verdict:
        """Check a POST with any other body: the signature over the URL, and the body against the hash in its query."""
        verdict = self._check(account_sid, url, (), signature, algorithm)
        if verdict is not Verdict.GENUINE:
            return verdict
        stated = dict(parse_qsl(url.partition("#")[0].partition("?")[2])).get("bodySHA256", "")
        same = hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), stated.lower().encode("utf-8", "replace"))
        return Verdict.GENUINE if same else Verdict.WRONG_BODY_HASH

    def _check(
        self, account_sid: str | None, url: str, parameters: Parameters, signature: str | None, algorithm: str
    ) -> Verdict:
        if not signature:
            return Verdict.UNSIGNED
        tokens = self._tokens.get(account_sid or "")
        if tokens is None:
            return Verdict.UNKNOWN_ACCOUNT
        if algorithm not in _HASHES:
            return Verdict.UNSUPPORTED_ALGORITHM
        received = signature.encode("utf-8", "replace")
        texts = [_signed(form, parameters) for form in url_forms(url)]
        genuine = False
        for token in tokens:
            for text in texts:  # no early exit: the time taken tells nothing about which form or token came near
                genuine |= hmac.compare_digest(_sign(token, text, algorithm).encode(), received)
        return Verdict.GENUINE if genuine else Verdict.WRONG_SIGNATURE


def _signed(url: str, parameters: Parameters) -> bytes:
    # Each distinct name in code point order, each of its distinct values in order: a set of pairs, sorted.
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    return text.encode("utf-8", "surrogatepass")


def _sign(token: bytes, text: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.new(token, text, _HASHES[algorithm]).digest()).decode()


_AUTHORITY = re.compile(
    r"(?P<scheme>https?)://(?P<userinfo>[^/?#]*@)?(?P<host>\[[^\]/?#]*\]|[^:/?#@]*)(?P<port>:\d*)?", re.I
)
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


def _port_forms(url: str) -> tuple[str, ...]:
    match = _AUTHORITY.match(url)
    if match is None:
        return ()
    before, rest = url[: match.end("host")], url[match.end() :]
    return before + rest, before + (match["port"] or _DEFAULT_PORTS[match["scheme"].lower()]) + rest


def _escaped_quotes(url: str) -> str:
    path, mark, query = url.partition("?")
    return path + mark + query.replace("'", "%27")

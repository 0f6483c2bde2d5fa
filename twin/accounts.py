"""Who may act for which account."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode

from twin.errors import ApiError, refuse
from twin.settings import AccountSettings

_SID = re.compile(r"AC[0-9a-fA-F]{32}")


class Account:
    """An account at work: its settings and the requests it has in flight."""

    __slots__ = ("in_flight", "settings", "sid", "signing_token")

    def __init__(self, settings: AccountSettings) -> None:
        self.settings = settings
        self.sid = settings.sid
        self.signing_token = settings.auth_token
        self.in_flight = 0

    def accepts(self, user: str, password: str) -> bool:
        """Whether these credentials are the account's own."""
        settings = self.settings
        if user == self.sid:
            return hmac.compare_digest(password.encode(), settings.auth_token.encode()) or (
                settings.secondary_auth_token is not None
                and hmac.compare_digest(password.encode(), settings.secondary_auth_token.encode())
            )
        secret = settings.api_keys.get(user)
        return secret is not None and hmac.compare_digest(password.encode(), secret.encode())


class Accounts:
    """All accounts by sid."""

    def __init__(self, settings: tuple[AccountSettings, ...]) -> None:
        self._by_sid = {part.sid: Account(part) for part in settings}
        self._known: dict[tuple[str, str], Account] = {}

    def __getitem__(self, sid: str) -> Account:
        return self._by_sid[sid]

    @property
    def first(self) -> Account:
        """The account that senders and services belong to unless they name one."""
        return next(iter(self._by_sid.values()))

    def put(self, settings: AccountSettings) -> None:
        """Add an account or change one; requests in flight stay counted."""
        account = self._by_sid.get(settings.sid)
        if account is None:
            self._by_sid[settings.sid] = Account(settings)
        else:
            account.settings = settings
            account.signing_token = settings.auth_token
        self._known.clear()

    def authenticate(self, sid: str, authorization: str | None, path: str) -> Account | ApiError:
        """The account of the path, if the request's credentials may act for it.

        A path without a proper account sid is 404; unknown accounts and wrong credentials are 401.
        """
        known = self._known.get((sid, authorization or ""))
        if known is not None:
            return known
        if not _SID.fullmatch(sid):
            return refuse(20404, path=path)
        account = self._by_sid.get(sid)
        user, password = _basic(authorization)
        if account is None or not self._may_act(account, user, password):
            return refuse(20003)
        self._known[sid, authorization or ""] = account
        return account

    def _may_act(self, account: Account, user: str, password: str) -> bool:
        if account.accepts(user, password):
            return True
        parent = account.settings.parent
        return parent is not None and parent in self._by_sid and self._by_sid[parent].accepts(user, password)


def _basic(authorization: str | None) -> tuple[str, str]:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password

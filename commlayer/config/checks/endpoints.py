"""Where things are and how to get in: brokers, registry, bridge, accounts, ports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from commlayer.config.draft import Draft
from commlayer.config.fields import host_and_port
from commlayer.config.infrastructure import Kafka, Security
from commlayer.config.problems import Path, Problem

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_SESSION_S = 6.0
"""Brokers refuse less (group.min.session.timeout.ms, 6,000 by default)."""


def endpoints(draft: Draft) -> Iterator[Problem]:
    """Addresses, URLs, credentials and ports."""
    if draft.kafka is not None:
        yield from _kafka(draft.kafka)
    if draft.registry is not None:
        yield from _url(("registry", "url"), draft.registry.url, secure="no")
        if (draft.registry.username is None) != (draft.registry.password is None):
            missing = "password" if draft.registry.password is None else "username"
            yield Problem(("registry",), f"{missing} is missing.", "write username and password, or neither.")
    if draft.bridge is not None:
        yield from _url(("bridge", "public_url"), draft.bridge.public_url, secure="outside")
        yield from _listen(("bridge", "listen"), draft.bridge.listen)
    if draft.twin is not None:
        yield from _listen(("twin", "listen"), draft.twin.listen)
    if draft.profiles is not None and draft.profiles.segment is not None:
        yield from _url(("profiles", "segment", "base_url"), draft.profiles.segment.base_url, secure="network")
    yield from _accounts(draft)
    yield from _ports(draft)


def _kafka(kafka: Kafka) -> Iterator[Problem]:
    for index, address in enumerate(kafka.bootstrap):
        yield from _listen(("kafka", "bootstrap", index), address, zero=False)
    if kafka.session_timeout_s < MIN_SESSION_S:
        fix = f"write {MIN_SESSION_S:.0f} or more; 30 lets a worker restart without disturbing others."
        yield Problem(("kafka", "session_timeout_s"), "shorter than brokers accept.", fix)
    if kafka.request_timeout_s >= kafka.session_timeout_s:
        what = f"not shorter than session_timeout_s ({kafka.session_timeout_s:g}): a worker could never send."
        yield Problem(("kafka", "request_timeout_s"), what, "a third of session_timeout_s is a good value.")
    yield from _security(kafka.security)


def _security(security: Security) -> Iterator[Problem]:
    path: Path = ("kafka", "security")
    if security.username is not None and security.username_from is not None:
        fix = "keep `username:` for one user, or `username_from:` for one user per process."
        yield Problem((*path, "username_from"), "the SASL user is named twice.", fix)
    user = "username" if security.username_from is None else "username_from"
    credentials = {
        "mechanism": security.mechanism,
        user: security.username or security.username_from,
        "password": security.password,
    }
    if security.protocol.startswith("SASL_"):
        for key, value in credentials.items():
            if value is None:
                yield Problem((*path, key), f"protocol {security.protocol} needs it.", f"add `{key}:`.")
    else:
        for key, value in credentials.items():
            if value is not None:
                fix = f"write protocol SASL_SSL, or remove `{key}:`."
                yield Problem((*path, key), f"protocol {security.protocol} does not use it.", fix)
    if security.ca_file is not None and not security.protocol.endswith("SSL"):
        fix = "write protocol SSL or SASL_SSL, or remove it."
        yield Problem((*path, "ca_file"), f"protocol {security.protocol} is not encrypted.", fix)


def _accounts(draft: Draft) -> Iterator[Problem]:
    by_sid: dict[str, str] = {}
    for name, account in draft.accounts.items():
        path: Path = ("accounts", name)
        other = by_sid.setdefault(account.sid, name)
        if other != name:
            fix = "keep one of them: a webhook names its account by SID."
            yield Problem((*path, "sid"), f"account `{other}` has the same SID.", fix)
        if account.auth_token is None and account.api_key is None:
            yield Problem(path, "no credential for sending.", "add `api_key:` or `auth_token: {env: NAME}`.")
        if account.auth_token is None and not account.signing_tokens:
            what = "no token to check webhook signatures with (an API key never signs)."
            yield Problem(path, what, "add `auth_token: {env: NAME}`, or `signing_tokens:`.")
        yield from _url((*path, "base_url"), account.base_url, secure="network")


def _ports(draft: Draft) -> Iterator[Problem]:
    if draft.health is None:
        return
    taken: dict[int, str] = {}
    if draft.bridge is not None:
        with contextlib.suppress(ValueError):  # told elsewhere
            taken[host_and_port(draft.bridge.listen)[1]] = "bridge.listen"
    for process in ("policy", "dispatch", "feedback", "all"):
        port = getattr(draft.health, process)
        other = taken.setdefault(port, f"health.{process}")
        if port and other != f"health.{process}":
            yield Problem(("health", process), f"{other} has the same port {port}.", "give each its own port, or 0.")


def _listen(path: Path, address: str, *, zero: bool = True) -> Iterator[Problem]:
    try:
        _, port = host_and_port(address)
    except ValueError:
        port = -1
    if port < (0 if zero else 1):
        yield Problem(path, f"not a host and port: `{address}`.", "write host:port, for example 127.0.0.1:9092.")


def _url(path: Path, url: str, *, secure: str) -> Iterator[Problem]:
    """`secure`: where http is refused: "outside" this machine, outside the "network" (hosts without a dot, as inside a
    compose network), or "no"where."""
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("http", "https") or not host:
        yield Problem(path, "not a URL.", "write https://host[:port][/path].")
        return
    if parts.username is not None or parts.password is not None:
        yield Problem(path, "holds credentials.", "remove them; secrets are written by reference only.")
    elif parts.query or parts.fragment:
        yield Problem(path, "has a query or fragment; commlayer adds its own.", "end it after the path.")
    local = host in _THIS_MACHINE or (secure == "network" and "." not in host and ":" not in host)
    if secure != "no" and parts.scheme == "http" and not local:
        reason = "bodies and numbers" if path[0] == "bridge" else "credentials"
        what = f"plain http would carry {reason} unencrypted."
        yield Problem(path, what, "write https:// (http:// is for localhost and 127.0.0.1).")

"""The twin of this installation: the same accounts and senders, so that nothing else has to change."""

from __future__ import annotations

from streams.policy.config import SenderType
from twin.settings import AccountSettings, SenderSettings, ServiceSettings, TwinSettings

from .conversions import lane_address
from .model import Configuration
from .secrets import Secrets

INBOUND_PATH = "/twilio/inbound"


def twin_settings(config: Configuration, secrets: Secrets) -> TwinSettings:
    """Accounts with their tokens and keys, senders with their rates, replies to the bridge. A messaging service has an
    empty pool: which senders it holds is known to Twilio only."""
    accounts = []
    for account in config.accounts.values():
        tokens = [secrets.find(token) for token in (account.auth_token, *account.signing_tokens)]
        key = account.api_key
        secret = None if key is None else secrets.find(key.secret)
        accounts.append(
            AccountSettings(
                sid=account.sid,
                auth_token=next((token for token in tokens if token), ""),
                api_keys={} if key is None or secret is None else {key.sid: secret},
            )
        )
    inbound_url = config.bridge.public_url.rstrip("/") + INBOUND_PATH
    senders = [
        SenderSettings(
            address=lane_address(sender),
            account=config.accounts[sender.account].sid,
            type=None if sender.type is None else sender.type.value,
            rate=sender.rate,
            country=sender.countries[0] if sender.type is SenderType.SHORT_CODE and sender.countries else None,
            inbound_url=inbound_url,
        )
        for sender in config.senders.values()
        if sender.messaging_service_sid is None
    ]
    services = [
        ServiceSettings(
            sid=sender.messaging_service_sid, account=config.accounts[sender.account].sid, inbound_url=inbound_url
        )
        for sender in config.senders.values()
        if sender.messaging_service_sid is not None
    ]
    twin = config.twin
    return TwinSettings(
        accounts=tuple(accounts),
        senders=tuple(senders),
        services=tuple(services),
        ten_dlc=twin.ten_dlc,
        outcomes=twin.outcomes,
        faults=twin.faults,
        webhooks=twin.webhooks,
        price_after_s=twin.price_after_s,
    )

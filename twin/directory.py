"""Everything that is configured: accounts, senders, services, applications, templates."""

from __future__ import annotations

from collections.abc import Callable

from twin.accounts import Account, Accounts
from twin.clock import Clock
from twin.messages import Message
from twin.pools import Service
from twin.senders import Sender
from twin.settings import (
    AccountSettings,
    ApplicationSettings,
    ContentSettings,
    SenderSettings,
    ServiceSettings,
    TwinSettings,
)


class Directory:
    """Finds senders by address, services, applications and templates by sid.

    Args:
        leave, expire: what a sender's queue calls, see `Sender`.
    """

    def __init__(
        self,
        settings: TwinSettings,
        clock: Clock,
        leave: Callable[[Message, float], None],
        expire: Callable[[Message, float], None],
    ) -> None:
        self._clock = clock
        self._leave = leave
        self._expire = expire
        self.accounts = Accounts(settings.accounts)
        self.senders: dict[str, Sender] = {}
        self.services: dict[str, Service] = {}
        self.applications: dict[str, ApplicationSettings] = {part.sid: part for part in settings.applications}
        self.contents: dict[str, ContentSettings] = {part.sid: part for part in settings.contents}
        for sender in settings.senders:
            self.put_sender(sender)
        for service in settings.services:
            self.put_service(service)

    def put_account(self, settings: AccountSettings) -> None:
        """Add or change an account."""
        self.accounts.put(settings)

    def put_sender(self, settings: SenderSettings) -> None:
        """Add or change a sender; its queue is kept."""
        sender = self.senders.get(settings.address)
        if sender is None:
            account = self._account(settings.account)
            self.senders[settings.address] = Sender(settings, account, self._clock, self._leave, self._expire)
        else:
            sender.configure(settings)

    def put_service(self, settings: ServiceSettings) -> None:
        """Add or change a Messaging Service. Raises KeyError for a sender that does not exist."""
        pool = [self.senders[address] for address in settings.senders]
        self.services[settings.sid] = Service(settings, self._account(settings.account), pool)

    def service_of(self, sender: Sender) -> Service | None:
        """The Messaging Service whose pool holds a sender."""
        return next((service for service in self.services.values() if sender in service.pool), None)

    def rates(self) -> dict[str, float]:
        """Segments per second by lane; a service has those of its pool together."""
        rates = {address: sender.rate for address, sender in self.senders.items()}
        return rates | {sid: sum(sender.rate for sender in service.pool) for sid, service in self.services.items()}

    def _account(self, sid: str | None) -> Account:
        return self.accounts.first if sid is None else self.accounts[sid]

"""What commlayer publishes, read by an application."""

from __future__ import annotations

from ._contracts import (
    Codec,
    Record,
    Registry,
    RegistryCodec,
    RegistryLogin,
    SchemaNotLoaded,
    SingleObjectCodec,
)
from ._contracts import RegistryUnavailable as NoAnswer
from .errors import RegistryUnavailable


class Decoder:
    """Values of `comms.feedback.status`, `comms.feedback.inbound` and `comms.consent` as typed records.

        decoder = Decoder()
        update = decoder.decode(message.value())

    Reads what was written without a registry as well as, given one, what was written with it, and fetches from the
    registry the schemas that it meets. Safe among threads.
    """

    def __init__(
        self,
        *,
        registry_url: str | None = None,
        registry_login: tuple[str, str] | None = None,
        registry_ca_file: str | None = None,
    ) -> None:
        """Asks nobody anything yet.

        Args:
            registry_url: schema registry, where commlayer runs with one. Needs `commlayer-client[registry]`.
            registry_login: (user, password) for it.
            registry_ca_file: certificates to trust there.

        Raises:
            ImportError: a registry is named, and `commlayer-client[registry]` is not installed.
        """
        self._with_registry: RegistryCodec | None = None
        self._codec: Codec = SingleObjectCodec()
        if registry_url:
            login = RegistryLogin(*registry_login) if registry_login else None
            try:
                registry = Registry(registry_url, login=login, ca_file=registry_ca_file)
            except ImportError as error:
                raise ImportError("a schema registry needs: pip install 'commlayer-client[registry]'") from error
            self._codec = self._with_registry = RegistryCodec(registry)

    def decode(self, data: bytes) -> Record:
        """The record: StatusUpdate, Inbound or Consent, by what the bytes say. Fields that its writer did not know have
        their defaults. Blocks while a schema is fetched, once for each.

        Raises:
            DecodeError: the bytes will never become a record, or the registry does not know their schema.
            RegistryUnavailable: a schema is needed and the registry gives no answer: try again later.
        """
        try:
            return self._codec.decode(data)
        except SchemaNotLoaded as missing:
            assert self._with_registry is not None  # nobody else asks for a schema
            try:
                self._with_registry.load(missing.schema_id)
            except NoAnswer as error:
                raise RegistryUnavailable(str(error), "nothing was read: try again later") from error
            return self._codec.decode(data)

"""The contracts: inside this package in its wheel, beside it in commlayer's own repository and distribution."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING or find_spec(".schemas", __package__) is None:
    from schemas import limits
    from schemas.codec import Codec, RegistryCodec, SingleObjectCodec
    from schemas.errors import ContractError, DecodeError, EncodeError, RegistryUnavailable, SchemaNotLoaded
    from schemas.ids import message_id_by_key, message_id_by_origin
    from schemas.records import Cancellation, Channel, Consent, Content, Inbound, MessageRequest, Record, StatusUpdate
    from schemas.registry import Registry, RegistryLogin
    from schemas.topics import APP_NAME, request_topic
else:
    from .schemas import limits
    from .schemas.codec import Codec, RegistryCodec, SingleObjectCodec
    from .schemas.errors import ContractError, DecodeError, EncodeError, RegistryUnavailable, SchemaNotLoaded
    from .schemas.ids import message_id_by_key, message_id_by_origin
    from .schemas.records import Cancellation, Channel, Consent, Content, Inbound, MessageRequest, Record, StatusUpdate
    from .schemas.registry import Registry, RegistryLogin
    from .schemas.topics import APP_NAME, request_topic

__all__ = [
    "APP_NAME",
    "Cancellation",
    "Channel",
    "Codec",
    "Consent",
    "Content",
    "ContractError",
    "DecodeError",
    "EncodeError",
    "Inbound",
    "MessageRequest",
    "Record",
    "Registry",
    "RegistryCodec",
    "RegistryLogin",
    "RegistryUnavailable",
    "SchemaNotLoaded",
    "SingleObjectCodec",
    "StatusUpdate",
    "limits",
    "message_id_by_key",
    "message_id_by_origin",
    "request_topic",
]

"""The typed records: one per contract in avro/. Every timestamp is epoch milliseconds UTC."""

from .attempt import Attempt
from .base import Record
from .callback import Callback
from .cancellation import Cancellation
from .consent import Consent
from .control import Control
from .dead_letter import DeadLetter
from .deferral import Deferral
from .dispatch import Dispatch
from .handled_letter import HandledLetter
from .inbound import Inbound, InboundMedia
from .lifecycle import LifecycleEvent
from .memory import PolicyDecision, PolicyOpening, PolicyPerson, PolicyQuota
from .profile import CustomerProfile
from .request import Content, MessageRequest
from .status import StatusUpdate
from .vocabulary import (
    AttemptKind,
    AttemptOutcome,
    CallbackSource,
    Channel,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    ControlAction,
    ControlSubject,
    DoubtPolicy,
    Encoding,
    Follows,
    KeywordIntent,
    LetterAction,
    MessageClass,
    MessageStatus,
    PolicyOutcome,
    Stage,
)

RECORDS: dict[str, type[Record]] = {
    record.AVRO_NAME: record
    for record in (
        Attempt,
        Callback,
        Cancellation,
        Consent,
        Control,
        CustomerProfile,
        DeadLetter,
        Deferral,
        Dispatch,
        HandledLetter,
        Inbound,
        LifecycleEvent,
        MessageRequest,
        PolicyDecision,
        PolicyOpening,
        PolicyPerson,
        PolicyQuota,
        StatusUpdate,
    )
}
"""Top-level records by full Avro name."""

__all__ = [
    "RECORDS",
    "Attempt",
    "AttemptKind",
    "AttemptOutcome",
    "Callback",
    "CallbackSource",
    "Cancellation",
    "Channel",
    "Consent",
    "ConsentChange",
    "ConsentScope",
    "ConsentSource",
    "Content",
    "Control",
    "ControlAction",
    "ControlSubject",
    "CustomerProfile",
    "DeadLetter",
    "Deferral",
    "Dispatch",
    "DoubtPolicy",
    "Encoding",
    "Follows",
    "HandledLetter",
    "Inbound",
    "InboundMedia",
    "KeywordIntent",
    "LetterAction",
    "LifecycleEvent",
    "MessageClass",
    "MessageRequest",
    "MessageStatus",
    "PolicyDecision",
    "PolicyOpening",
    "PolicyOutcome",
    "PolicyPerson",
    "PolicyQuota",
    "Record",
    "Stage",
    "StatusUpdate",
]

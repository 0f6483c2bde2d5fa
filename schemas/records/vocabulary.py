"""Words that several contracts share: one enum per Avro enum of avro/*.avsc."""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """Road a message takes to a person."""

    SMS = "sms"
    MMS = "mms"
    WHATSAPP = "whatsapp"


class MessageClass(StrEnum):
    """Urgency; dispatch serves classes in this order."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    BULK = "bulk"


class Encoding(StrEnum):
    """Character encoding of an SMS; none for media and channel messages."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"
    NONE = "none"


class DoubtPolicy(StrEnum):
    """What follows when nobody can tell whether Twilio accepted."""

    RESEND = "resend"
    STOP = "stop"


class AttemptKind(StrEnum):
    """INTENT is written before the POST, RESULT after it."""

    INTENT = "intent"
    RESULT = "result"


class AttemptOutcome(StrEnum):
    """How the POST ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    IN_DOUBT = "in_doubt"
    NOT_STARTED = "not_started"


class Follows(StrEnum):
    """What happens after a result."""

    FINAL = "final"
    RETRY = "retry"
    WHEEL = "wheel"


class PolicyOutcome(StrEnum):
    """How policy decided."""

    ADMITTED = "admitted"
    DENIED = "denied"
    DEFERRED = "deferred"


class Stage(StrEnum):
    """Who says so."""

    POLICY = "policy"
    DISPATCH = "dispatch"
    BRIDGE = "bridge"
    FEEDBACK = "feedback"
    GATEWAY = "gateway"
    OPERATOR = "operator"


class MessageStatus(StrEnum):
    """State of a message as commlayer tells it: our own steps and Twilio's statuses in one vocabulary."""

    ADMITTED = "admitted"
    DENIED = "denied"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    CANCELED = "canceled"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNRESOLVED = "unresolved"


class CallbackSource(StrEnum):
    """How it reached us."""

    STATUS_CALLBACK = "status_callback"
    EVENT_STREAM = "event_stream"
    RECONCILER = "reconciler"


class KeywordIntent(StrEnum):
    """What a keyword asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


class ConsentChange(StrEnum):
    """What changed."""

    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"


class ConsentScope(StrEnum):
    """How far it reaches."""

    ALL = "all"
    BRAND = "brand"
    CATEGORY = "category"
    CHANNEL = "channel"
    MESSAGING_SERVICE = "messaging_service"
    SENDER = "sender"


class ConsentSource(StrEnum):
    """Where it comes from."""

    KEYWORD = "keyword"
    FREE_TEXT = "free_text"
    TWILIO_ERROR = "twilio_error"
    OPERATOR = "operator"
    APP = "app"
    PREFERENCE_CENTRE = "preference_centre"
    CRM = "crm"
    IMPORT = "import"
    DEACTIVATION = "deactivation"


class ControlSubject(StrEnum):
    """What is switched."""

    LANE = "lane"
    GROUP = "group"
    ACCOUNT = "account"
    APP = "app"
    BUDGET = "budget"


class ControlAction(StrEnum):
    """What to do."""

    PAUSE = "pause"
    RESUME = "resume"
    RATE = "rate"
    MOVE_BEGIN = "move_begin"
    MOVE_DONE = "move_done"
    CLEAR = "clear"
    BACKLOG = "backlog"
    COUNT = "count"


class LetterAction(StrEnum):
    """What an operator did with a dead letter."""

    REPLAYED = "replayed"
    DROPPED = "dropped"

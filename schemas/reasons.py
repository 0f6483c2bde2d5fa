"""Every reason commlayer can give for what it did to a message: one enum for code, docs and dashboards."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason code of a denial, dead letter, deferral or failure. `explanation` says it in plain words."""

    explanation: str

    def __new__(cls, code: str, explanation: str) -> Reason:
        """A member is its code, and carries its explanation."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.explanation = explanation
        return member

    # Records that cannot be used: comms.dead
    UNDECODABLE = "undecodable", "The bytes are no Avro record in a wire format we know."
    UNKNOWN_SCHEMA = "unknown_schema", "The schema that the record names is not registered."
    UNEXPECTED_RECORD = "unexpected_record", "The record is of a type that does not belong on this topic."
    OVERSIZED = "oversized", "The record is larger than a stage accepts."
    LOST = "lost", "Records left their topic by retention before they were processed; the letter tells which at most."

    # Requests that policy denies
    UNKNOWN_APP = "unknown_app", "No app of that name is configured."
    APP_DISABLED = "app_disabled", "The app is switched off."
    UNKNOWN_CATEGORY = "unknown_category", "No category of that name is configured."
    CATEGORY_NOT_GRANTED = "category_not_granted", "The app may not send messages of this category."
    NOT_URGENT = "not_urgent", "Only critical categories may use the urgent topic."
    INVALID_RECIPIENT = "invalid_recipient", "The recipient is not a valid E.164 number."
    LANDLINE_RECIPIENT = "landline_recipient", "The recipient is a fixed line, which cannot take this channel."
    COUNTRY_NOT_ALLOWED = "country_not_allowed", "Messages to the recipient's country are not allowed."
    EMPTY_CONTENT = "empty_content", "The request has nothing to say."
    AMBIGUOUS_CONTENT = "ambiguous_content", "The request names more than one of body or media, template, content_sid."
    BODY_TOO_LONG = "body_too_long", "The body is longer than 1600 characters."
    INVALID_MEDIA = "invalid_media", "A media URL is not usable, or there are too many."
    INVALID_FIELD = "invalid_field", "A field holds a value outside its limits."
    UNSUPPORTED_CONTENT = (
        "unsupported_content",
        "This kind of content cannot be sent on this channel or is not configured.",
    )
    UNKNOWN_TEMPLATE = "unknown_template", "No template, or no version of it, is configured under that name."
    TEMPLATE_NOT_GRANTED = "template_not_granted", "The app or the category may not use this template."
    INVALID_VARIABLES = "invalid_variables", "A variable of the template is missing, unknown, or holds what it may not."
    TOO_MANY_SEGMENTS = "too_many_segments", "The text makes more segments than its template allows."
    DEADLINE_PASSED = "deadline_passed", "The deadline lies in the past."
    DEADLINE_TOO_FAR = "deadline_too_far", "The deadline lies more than 72 h after the earliest moment to send."
    QUIET_HOURS = "quiet_hours", "It is quiet hours at a place where the recipient may be."
    UNKNOWN_SENDER = "unknown_sender", "No sender or pool of that name is configured."
    SENDER_NOT_GRANTED = "sender_not_granted", "The app may not use this sender or pool."
    NO_SENDER = "no_sender", "No sender fits channel, country and category."

    # Consent, at the decision and right before sending
    SUPPRESSED = "suppressed", "The number is on the suppression list."
    OPTED_OUT = "opted_out", "The person opted out of what the message belongs to."
    NO_OPT_IN = "no_opt_in", "Messages of this category need an opt-in, and the person gave none that covers it."
    BACKLOG = "backlog", "Every sender that fits is so far behind that the message could not leave before its deadline."
    PROFILE_UNAVAILABLE = (
        "profile_unavailable",
        "Customer data that the category requires did not answer.",
    )
    WHATSAPP_WINDOW_CLOSED = (
        "whatsapp_window_closed",
        "Outside 24 h after the person wrote, only a template may go out.",
    )
    WHATSAPP_MARKETING_REFUSED = "whatsapp_marketing_refused", "WhatsApp delivers no marketing to this country."
    WHATSAPP_DAILY_LIMIT = "whatsapp_daily_limit", "The sender wrote first to as many people as WhatsApp grants a day."
    QUOTA_EXCEEDED = "quota_exceeded", "The app asks for more than its quota."
    LANE_QUOTA_EXCEEDED = "lane_quota_exceeded", "The app takes more of a lane than its quota there."
    FREQUENCY_CAP = "frequency_cap", "The person got as many messages of this kind as a cap allows."
    REPEATED = "repeated", "The app asked again under the same idempotency key: the first request's outcome stands."
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", "The idempotency key was used for another content."
    INTERNAL_ERROR = "internal_error", "A defect of commlayer: policy could not decide on the message."

    MANY_AT_ONCE = "many_at_once", "More messages to the person wait than are held at once; it comes again soon."
    APP_PAUSED = "app_paused", "An operator has paused the app; its messages wait until it is resumed."

    # What dispatch meets
    NOT_BEFORE = "not_before", "The app asked for a later moment."
    REJECTED_BY_TWILIO = "rejected_by_twilio", "Twilio refused the request."
    THROTTLED = "throttled", "Twilio asked to slow down."
    TWILIO_UNAVAILABLE = "twilio_unavailable", "Twilio did not process the request."
    IN_DOUBT = "in_doubt", "The answer was lost: Twilio may or may not have accepted."
    SENDER_REFUSED = (
        "sender_refused",
        "Twilio refuses the sender or messaging service, perhaps for this country only; another one may be chosen.",
    )
    UNKNOWN_LANE = "unknown_lane", "The lane is no longer configured; policy is asked again."
    LANE_MOVED = "lane_moved", "The lane lies on another partition now; policy is asked again."
    CONSENT_CHANGED = (
        "consent_changed",
        "The person opted out of another sender while the message waited; policy is asked whether it concerns it.",
    )
    DAY_CAP_REACHED = (
        "day_cap_reached",
        "The person's carrier takes no more of the brand today; it waits for 00:00 Pacific, or for an operator's word.",
    )
    LANE_FULL = (
        "lane_full",
        "The lane holds its part of what others use, too, or its carrier's; policy is asked again later.",
    )

    # What Twilio reports later
    FAILED_AT_TWILIO = "failed_at_twilio", "Twilio could not hand the message to a carrier."
    CHANNEL_FAILED = "channel_failed", "The channel did not reach the person; the next one is tried."
    UNDELIVERED = "undelivered", "The carrier or handset did not take the message."
    CANCELED = "canceled", "The app took the request back."

    # What operators do with dead letters
    REPLAYED = "replayed", "An operator wrote a record of it again that could not be used before."
    DROPPED = "dropped", "An operator gave up a record of it that could not be used."

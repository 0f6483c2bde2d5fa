"""Answers of refusal: code, HTTP status and text, as Twilio gives them.

Texts were taken from answers of the real API where public captures show one, else they are the dictionary's titles.
The HTTP status is 400 where none is known to differ.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

_STATUS = {
    20003: 401,
    20004: 405,
    20008: 403,
    20009: 409,
    20404: 404,
    20413: 413,
    20429: 429,
    20500: 500,
    20503: 503,
    20504: 504,
    21611: 429,
    30409: 409,
}

_TEXT = {
    20001: "Unknown parameters",
    20003: "Authenticate",
    20004: "Method not allowed",
    20007: "Page size too large",
    20008: "Resource not accessible with Test Account Credentials",
    20009: "Cannot delete this resource before it is complete",
    20404: "The requested resource {path} was not found",
    20413: "Request Entity Too Large",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service unavailable",
    20504: "Twilio Internal Error",
    21211: "The 'To' number {to} is not a valid phone number.",
    21212: "The 'From' number {sender} is not a valid phone number, shortcode, or alphanumeric sender ID.",
    21265: "'To' number cannot be a Short Code",
    21266: "'To' and 'From' number cannot be the same",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {masked}",
    21420: "ApplicationSid is not accessible",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The From phone number {sender} is not a valid, SMS-capable inbound phone number or short code for your "
    "account.",
    21608: "The number {masked} is unverified. Trial accounts cannot send messages to unverified numbers; verify "
    "{masked} at twilio.com/user/account/phone-numbers/verified, or purchase a Twilio number to send messages to "
    "unverified numbers",
    21609: "The 'StatusCallback' URL {url} is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "SMS queue is full.",
    21612: "The 'To' phone number: {to}, is not currently reachable using the 'From' phone number: {sender} via {via}.",
    21614: "To number: {to}, is not a mobile number",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21619: "A text message body or media urls must be specified.",
    21620: "Invalid media URL(s)",
    21621: "The 'From' number {sender} has not been enabled for MMS",
    21623: "Number of media files exceeds allowed limit",
    21624: "Invalid validity period value",
    21627: "Max Price must be a valid float",
    21635: "'To' number cannot be a landline",
    21654: "ContentSid Required",
    21655: "The ContentSid is Invalid",
    21656: "The ContentVariables Parameter is invalid",
    21659: "'From' {sender} is not a Twilio phone number or Short Code country mismatch",
    21660: "Mismatch between the 'From' number {sender} and the account {account}",
    21661: "'From' number {sender} is not SMS-capable",
    21701: "The Messaging Service does not exist",
    21704: "The Messaging Service contains no phone numbers",
    21705: "The Messaging Service is invalid",
    21910: "Invalid From and To pair. From and To should be of the same channel",
    30029: "Invalid ContentRetention",
    30030: "Invalid AddressRetention",
    30124: "MessagingServiceSID cannot be empty or null",
    30400: "Parameters are not valid",
    30409: "This message cannot be canceled",
    35111: "SendAt timestamp is missing",
    35114: "Scheduling does not support this timestamp",
    35115: "Scheduling does not support this timestamp",
    35117: "Scheduling does not support this timestamp",
    35118: "MessagingServiceSid is required to schedule a message",
    35125: "Maximum limit reached in the account for scheduling messages",
    35126: "The ScheduleType value provided is not supported for this channel",
    35127: "'Messages' Body and ContentVariables cannot be provided together",
    63007: "Twilio could not find a Channel with the specified From address",
}

DELIVERY_ERRORS: dict[int, str] = {
    int(code): title
    for code, title in json.loads(files("twin").joinpath("data/delivery_errors.json").read_text("utf-8")).items()
}
"""Titles of errors that a message gets after it was accepted (its `error_message`)."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """A refused request."""

    code: int
    message: str
    status: int
    detail: str | None = None

    def body(self) -> bytes:
        """The JSON of the answer, byte by byte as the API writes it."""
        fields: dict[str, object] = {"code": self.code}
        if self.detail is not None:
            fields["detail"] = self.detail
        fields |= {
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return json.dumps(fields).encode()


def refuse(code: int, **facts: str) -> ApiError:
    """The refusal with this code; `facts` fill its text."""
    text = _TEXT.get(code) or DELIVERY_ERRORS.get(code) or "Unknown error"
    detail = "Your AccountSid or AuthToken was incorrect." if code == 20003 else None
    return ApiError(code, text.format(**facts) if facts else text, _STATUS.get(code, 400), detail)

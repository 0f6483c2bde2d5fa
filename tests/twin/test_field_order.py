from __future__ import annotations

import random

import pytest

from twin.field_order import in_wire_order

# Field orders of real requests, as captured.
CAPTURED = {
    "sms from a service's number": "ToCountry ToState SmsMessageSid NumMedia ToCity FromZip SmsSid FromState SmsStatus "
    "FromCity Body FromCountry To MessagingServiceSid ToZip NumSegments MessageSid AccountSid From ApiVersion",
    "mms": "ToCountry MediaContentType0 ToState SmsMessageSid NumMedia ToCity FromZip SmsSid FromState SmsStatus "
    "FromCity Body FromCountry To ToZip NumSegments MessageSid AccountSid From MediaUrl0 ApiVersion",
    "whatsapp": "SmsMessageSid NumMedia ProfileName MessageType SmsSid WaId SmsStatus Body To MessagingServiceSid "
    "NumSegments ReferralNumMedia MessageSid AccountSid From ApiVersion",
    "whatsapp with media": "MediaContentType0 SmsMessageSid NumMedia ProfileName SmsSid WaId SmsStatus Body To "
    "NumSegments MessageSid AccountSid From MediaUrl0 ApiVersion",
    "status": "SmsSid SmsStatus MessageStatus To MessageSid AccountSid From ApiVersion",
    "delivered status of a service": "RawDlrDoneDate SmsSid SmsStatus MessageStatus To MessagingServiceSid MessageSid "
    "AccountSid From ApiVersion",
}


@pytest.mark.parametrize("name", CAPTURED)
def test_writes_fields_in_the_order_of_real_requests(name: str) -> None:
    order = CAPTURED[name].split()
    shuffled = random.Random(7).sample(order, len(order))
    assert [field for field, _ in in_wire_order(dict.fromkeys(shuffled, "x"))] == order

"""Telephone numbers as people write them become E.164."""

from __future__ import annotations

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from .errors import InvalidRecipient

_DIGITS_MAX = 15  # ITU-T E.164


def normalise(number: str, default_region: str | None = None) -> str:
    """The number in E.164, such as +14155550123.

    Only what cannot be a number is refused. Whether it is assigned, mobile and allowed, policy decides, by newer data
    than an application may have.

    Args:
        number: international with a leading +, in any notation; national when `default_region` is given.
        default_region: ISO 3166 alpha-2 country of national numbers.

    Raises:
        InvalidRecipient: it is no number, or national without a region.
    """
    if not isinstance(number, str):
        raise InvalidRecipient(f"is of type {type(number).__name__}", "give a str")
    if ":" in number and not number.startswith("tel:"):
        raise InvalidRecipient("has a channel prefix", 'give the number alone and channel="whatsapp"')
    try:
        parsed = phonenumbers.parse(number, default_region)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            fix = "give it with + and country code, or name the default_region of the publisher"
            raise InvalidRecipient("has no known country code", fix) from None
        raise InvalidRecipient("is no telephone number", "give it as +14155550123") from None
    if parsed.extension:
        raise InvalidRecipient("has an extension, which no message can reach", "give the number without it")
    result = phonenumbers.is_possible_number_with_reason(parsed)
    e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if result != ValidationResult.IS_POSSIBLE or len(e164) > _DIGITS_MAX + 1:
        raise InvalidRecipient(_LENGTH.get(result, "has no length of a number"), "give the whole number, +14155550123")
    return str(e164)


_LENGTH = {
    ValidationResult.TOO_SHORT: "is too short for its country",
    ValidationResult.TOO_LONG: "is too long for its country",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
    ValidationResult.INVALID_COUNTRY_CODE: "has no known country code",
}

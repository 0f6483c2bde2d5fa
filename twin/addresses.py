"""What an address is: checks of the twin's own, so that it cannot share a mistake with the product it tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """Kinds of address that Messages know."""

    NUMBER = "number"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    MESSENGER = "messenger"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        kind: what it is.
        text: as Twilio gives it back: channel prefix kept, number normalised.
        person: without channel prefix; what an opt-out is recorded for.
    """

    kind: Kind
    text: str
    person: str

    @property
    def channel(self) -> str:
        """sms, whatsapp, rcs or messenger."""
        return self.kind.value if self.kind in (Kind.WHATSAPP, Kind.RCS, Kind.MESSENGER) else "sms"


# ITU-T E.164, country codes in use; 1 and 7 are the zones with one digit.
_TWO_DIGIT = (
    "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
    "90 91 92 93 94 95 98"
)
_THREE_DIGIT = (
    "211 212 213 216 218 22. 23. 24. 250 251 252 253 254 255 256 257 258 26. 290 291 297 298 299 35. 37. 380 381 382 "
    "383 385 386 387 389 420 421 423 50. 59. 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 "
    "690 691 692 800 808 850 852 853 855 856 870 878 88. 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 "
    "976 977 979 992 993 994 995 996 998"
)
_CODES = "|".join(f"(?:{code})" + r"\d{5,13}" for code in _TWO_DIGIT.split()) + "|"
_CODES += "|".join(f"(?:{code})" + r"\d{4,12}" for code in _THREE_DIGIT.replace(".", r"\d").split())
_NUMBER = re.compile(r"\+(?:1[2-9]\d{9}|7\d{10}|" + _CODES + ")", re.ASCII)
_SHORT_CODE = re.compile(r"\d{5,6}", re.ASCII)
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}")
_PUNCTUATION = re.compile(r"[ ().\-]")
_CHANNELS = {"whatsapp": Kind.WHATSAPP, "rcs": Kind.RCS, "messenger": Kind.MESSENGER}


@lru_cache(maxsize=65536)
def parse(text: str) -> Address:
    """Read an address; what Twilio would not accept is of kind INVALID.

    Numbers may be written with blanks, brackets, dots and dashes; ten digits, or eleven that begin with 1, are taken
    as a number of the United States.
    """
    prefix, colon, rest = text.strip().partition(":")
    if colon:
        kind = _CHANNELS.get(prefix)
        if kind is None or not rest:
            return Address(Kind.INVALID, text, text)
        if kind is Kind.WHATSAPP or rest.startswith("+"):
            number = _normal(rest)
            return Address(kind, f"{prefix}:{number}", number) if number else Address(Kind.INVALID, text, text)
        return Address(kind, text, rest)
    number = _normal(prefix)
    if number:
        return Address(Kind.NUMBER, number, number)
    if _SHORT_CODE.fullmatch(prefix):
        return Address(Kind.SHORT_CODE, prefix, prefix)
    if _ALPHANUMERIC.fullmatch(prefix):
        return Address(Kind.ALPHANUMERIC, prefix, prefix)
    return Address(Kind.INVALID, text, text)


def masked(number: str) -> str:
    """The number as Twilio's error texts show it: the last four digits as XXXX."""
    return number[:-4] + "XXXX"


def _normal(text: str) -> str | None:
    digits = _PUNCTUATION.sub("", text)
    if not digits.startswith("+"):
        if len(digits) == 10:
            digits = "+1" + digits
        elif len(digits) == 11 and digits[0] == "1":
            digits = "+" + digits
    return digits if _NUMBER.fullmatch(digits) else None

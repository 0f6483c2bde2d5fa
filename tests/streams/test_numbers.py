from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import numbers
from streams.numbers import Number, look_up


@pytest.mark.parametrize(
    ("e164", "number"),
    [
        ("+14155550123", Number("US", fixed_line=False)),
        ("+16135550123", Number("CA", fixed_line=False)),
        ("+41791234567", Number("CH", fixed_line=False)),
        ("+41443643533", Number("CH", fixed_line=True)),
        ("+390612345678", Number("IT", fixed_line=True)),
        ("+80012345678", Number("001", fixed_line=False)),
        ("+447700900123", None),
        ("+4407911123456", None),
        ("+41791234567 ", None),
    ],
)
def test_a_number_tells_its_country_and_whether_it_is_a_fixed_line(e164: str, number: Number | None) -> None:
    assert look_up(e164) == number


def test_what_is_too_long_for_a_number_is_not_kept() -> None:
    kept = numbers._looked_up.cache_info().currsize
    assert look_up("+1" + "5" * 1_000_000) is None
    assert numbers._looked_up.cache_info().currsize == kept


def examples() -> list[str]:
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                found.append(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
    return found


@pytest.mark.parametrize("e164", examples())
def test_every_plans_example_numbers_are_known(e164: str) -> None:
    parsed = phonenumbers.parse(e164)
    number = look_up(e164)
    assert number is not None
    assert number.country == phonenumbers.region_code_for_number(parsed)
    assert number.fixed_line == (phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.FIXED_LINE)


@given(st.from_regex(r"\+[1-9][0-9]{1,16}", fullmatch=True))
def test_a_number_is_known_if_the_library_takes_it_without_changing_a_digit(e164: str) -> None:
    try:
        parsed = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        assert look_up(e164) is None
        return
    unchanged = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == e164
    assert (look_up(e164) is not None) == (unchanged and phonenumbers.is_valid_number(parsed))

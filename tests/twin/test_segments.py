from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.segments import count, smart_encode, utf16_units

VECTORS = json.loads((Path(__file__).parent / "data" / "segment-vectors.json").read_text("utf-8"))["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['name']}{'-smart' * vector['smart']}")
def test_counts_as_twilios_calculator_does(vector: dict[str, Any]) -> None:
    text = "".join(part * times for part, times in vector["parts"])
    counted = count(smart_encode(text) if vector["smart"] else text)
    assert (counted.encoding, counted.segments, counted.message_bits, counted.total_bits) == (
        vector["encoding"],
        vector["segments"],
        vector["messageSizeBits"],
        vector["totalSizeBits"],
    )


def test_an_indic_conjunct_may_be_parted_and_a_thai_vowel_may_not() -> None:
    assert count("अ" * 65 + "क्ष" + "अ" * 66).segments == 2
    assert count("อ" * 65 + "ก็ำ" + "อ" * 66).segments == 3


def test_smart_encoding_can_lengthen_a_text() -> None:
    assert smart_encode("a\t½…‹") == "a       1/2...>"


@given(st.text(max_size=400))
def test_one_more_letter_takes_at_most_one_more_segment(text: str) -> None:
    assert count(text).segments <= count(text + "a").segments <= count(text).segments + 1


def test_characters_beyond_the_basic_plane_count_twice() -> None:
    assert (utf16_units("abc"), utf16_units("ß€"), utf16_units("👍a")) == (3, 2, 3)

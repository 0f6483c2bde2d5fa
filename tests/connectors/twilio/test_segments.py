from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st

from connectors.twilio.segments import Segments, count, smart_encode
from schemas.records import Encoding

VECTORS = json.loads((Path(__file__).parent / "data" / "segment-vectors.json").read_text(encoding="utf-8"))["vectors"]
ENCODINGS = {"GSM-7": Encoding.GSM7, "UCS-2": Encoding.UCS2}
BITS = {Encoding.GSM7: 7, Encoding.UCS2: 16}


def naming(vector: dict[str, Any]) -> str:
    return f"{vector['name']}{'-smart' if vector['smart'] else ''}"


@pytest.mark.parametrize("vector", VECTORS, ids=naming)
def test_every_vector_of_twilios_calculator_is_counted_the_same(vector: dict[str, Any]) -> None:
    body = "".join(text * times for text, times in vector["parts"])

    found = count(body, smart_encoding=vector["smart"])

    assert (found.encoding, found.segments) == (ENCODINGS[vector["encoding"]], vector["segments"])
    assert found.units * BITS[found.encoding] == vector["messageSizeBits"]


def test_all_forty_seven_vectors_are_here() -> None:
    assert len(VECTORS) == 47


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("🏳️‍🌈" * 11, Segments(Encoding.UCS2, 1, 66)),
        ("🏳️‍🌈" * 12, Segments(Encoding.UCS2, 2, 72)),  # eleven clusters of six in the first part: 66 of 67
        ("👍🏽" * 49, Segments(Encoding.UCS2, 4, 196)),  # sixteen of four units in a part: 64 of 67
        ("👨‍👩‍👧‍👦" * 67, Segments(Encoding.UCS2, 12, 737)),
        ("a" * 66 + "e\u0301" * 2, Segments(Encoding.UCS2, 1, 70)),
        ("a" * 66 + "e\u0301" * 3, Segments(Encoding.UCS2, 2, 72)),  # e and its accent do not fit the 67th place
        ("á\r\n" * 23, Segments(Encoding.UCS2, 1, 69)),
        ("á" * 66 + "\r\n" + "á" * 66, Segments(Encoding.UCS2, 2, 134)),  # CR and LF may part
        ("अ" * 65 + "क्ष" + "अ" * 66, Segments(Encoding.UCS2, 2, 134)),  # a conjunct's letters may part
        ("อ" * 65 + "ก็ำ" + "อ" * 66, Segments(Encoding.UCS2, 3, 134)),  # a Thai vowel stays with its letter
        ("\ud83d", Segments(Encoding.UCS2, 1, 1)),  # half a surrogate pair
        ("Straße für 5 € [x]", Segments(Encoding.GSM7, 1, 21)),
    ],
)
def test_clusters_line_ends_and_escapes_count_as_twilio_counts_them(body: str, expected: Segments) -> None:
    assert count(body) == expected


def test_a_cluster_larger_than_a_segment_is_cut_between_code_points() -> None:
    zalgo = "a" + "\u0301" * 150

    assert count(zalgo) == Segments(Encoding.UCS2, 3, 151)


def test_smart_encoding_replaces_lookalikes_and_may_lengthen() -> None:
    assert smart_encode("“Half” — ½…") == '"Half" - 1/2...'
    assert count("½" * 60).encoding is Encoding.UCS2
    assert count("½" * 60, smart_encoding=True) == Segments(Encoding.GSM7, 2, 180)


GSM_TEXT = st.text(alphabet="abc XYZ.,!?@£é\n€{}[]~^|\\")
ANY_TEXT = st.one_of(
    GSM_TEXT,
    st.text(),
    st.text(alphabet="aé€{👍🏽👨‍👩‍👧🇮🇹\u0301\u200d\r\n’"),
).flatmap(lambda text: st.integers(1, 40).map(lambda times: text * times))


def clusters(body: str) -> list[str]:
    return [part for cluster in regex.findall(r"\X", body) for part in (cluster if cluster == "\r\n" else [cluster])]


def size(text: str, encoding: Encoding) -> int:
    if encoding is Encoding.UCS2:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return sum(2 if character in "\f[\\]^{|}~€" else 1 for character in text)


@given(ANY_TEXT, ANY_TEXT)
def test_a_longer_text_never_costs_less(body: str, more: str) -> None:
    assert count(body).segments <= count(body + more).segments


@given(ANY_TEXT, ANY_TEXT)
def test_two_texts_joined_cost_at_most_one_segment_more_than_apart_in_the_same_encoding(one: str, two: str) -> None:
    apart, whole = (count(one), count(two)), count(one + two)
    assume({part.encoding for part in apart} == {whole.encoding})
    assume(clusters(one) + clusters(two) == clusters(one + two))
    assume(all(size(cluster, whole.encoding) <= 2 for cluster in clusters(one + two)))

    # The one more: a lone segment has room for 160 (70) units, one of several for 153 (67).
    assert max(part.segments for part in apart) <= whole.segments <= sum(part.segments for part in apart) + 1


@given(ANY_TEXT)
def test_no_cluster_is_split_and_no_segment_overflows(body: str) -> None:
    """Any packing that keeps clusters whole needs at least as many segments as counted; ours is the greedy one."""
    found = count(body)
    single, part = (160, 153) if found.encoding is Encoding.GSM7 else (70, 67)
    pieces = [size(cluster, found.encoding) for cluster in clusters(body)]
    if max(pieces, default=0) > part:
        return
    assert sum(pieces) == found.units
    if found.units <= single:
        assert found.segments == 1
        return
    filled: list[int] = [0]
    for piece in pieces:
        if filled[-1] + piece > part:
            filled.append(0)
        filled[-1] += piece
    assert len(filled) == found.segments


@given(ANY_TEXT)
def test_smart_encoding_of_what_was_smart_encoded_changes_nothing_that_is_gsm7(body: str) -> None:
    once = smart_encode(body)
    if count(once).encoding is Encoding.GSM7:
        assert smart_encode(once) == once

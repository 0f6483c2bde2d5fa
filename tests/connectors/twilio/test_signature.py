from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from connectors.twilio.signature import (
    HMAC_SHA256,
    SignatureChecker,
    Verdict,
    algorithm_of,
    compute_signature,
    url_forms,
)

VECTORS = json.loads((Path(__file__).parent / "data" / "signature-vectors.json").read_text(encoding="utf-8"))
ACCOUNT = "AC" + "0" * 32
URL = "https://bridge.example.com/twilio/status?m=1&r=0&a=1"
FORM = [("MessageSid", "SM1"), ("AccountSid", ACCOUNT), ("FromCity", "")]
CHECKER = SignatureChecker({ACCOUNT: ("old token", "new token")})


def pairs(vector: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in vector["params"]]


def verdict_on(vector: dict[str, Any], *, url: str | None = None, token: str | None = None) -> Verdict:
    checker = SignatureChecker({ACCOUNT: (token or vector["token"],)})
    address = url or vector["url"]
    if vector["body"] is not None:
        body = vector["body"].encode()
        return checker.check_json(ACCOUNT, address, body, vector["signature"], vector["algorithm"])
    return checker.check_form(ACCOUNT, address, pairs(vector), vector["signature"], vector["algorithm"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector_is_computed_and_accepted(vector: dict[str, Any]) -> None:
    assert compute_signature(vector["token"], vector["url"], pairs(vector), vector["algorithm"]) == vector["signature"]
    assert verdict_on(vector) is Verdict.GENUINE


def test_all_twenty_two_vectors_are_here() -> None:
    assert len(VECTORS) == 22


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_every_vector_is_refused_with_another_token_path_or_algorithm(vector: dict[str, Any]) -> None:
    other = "HMAC_SHA1" if vector["algorithm"] == HMAC_SHA256 else HMAC_SHA256
    host, slash, rest = vector["url"].rpartition("/")

    assert verdict_on(vector, token="another") is Verdict.WRONG_SIGNATURE
    assert verdict_on(vector, url=f"{host}/evil{slash}{rest}") is Verdict.WRONG_SIGNATURE
    assert verdict_on(vector | {"algorithm": other}) is Verdict.WRONG_SIGNATURE


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://h.example/a?x=1", "https://h.example/a?x=1#rc=5&rp=all"),
        ("https://h.example:443/a", "https://h.example/a"),
        ("https://h.example/a", "https://h.example:443/a"),
        ("http://h.example:80/a", "http://h.example/a"),
        ("https://h.example/a", "https://h.example:8443/a"),
        ("https://h.example:8443/a", "https://h.example:8443/a"),
        ("https://user:pass@h.example/x", "https://user:pass@h.example:8443/x"),
        ("https://user:pass@h.example:443/x", "https://user:pass@h.example/x"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:8443/x"),
        ("https://h.example/a?t=it%27s", "https://h.example/a?t=it's"),
        ("https://h.example?x=1", "https://h.example?x=1"),
    ],
)
def test_the_forms_of_one_url_are_all_accepted(signed: str, received: str) -> None:
    signature = RequestValidator("new token").compute_signature(signed, MultiDict(FORM))

    assert CHECKER.check_form(ACCOUNT, received, FORM, signature) is Verdict.GENUINE


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://h.example:8443/a", "https://h.example/a"),
        ("https://h.example/a", "http://h.example/a"),
        ("https://h.example/a", "https://h.example/a/"),
        ("https://h.example/a?x=1", "https://h.example/a?x=2"),
        ("https://h.example/a", "https://user@h.example/a"),
    ],
)
def test_another_url_is_refused(signed: str, received: str) -> None:
    signature = RequestValidator("new token").compute_signature(signed, MultiDict(FORM))

    assert CHECKER.check_form(ACCOUNT, received, FORM, signature) is Verdict.WRONG_SIGNATURE


@pytest.mark.parametrize("token", ["old token", "new token"])
def test_during_a_rotation_either_token_counts(token: str) -> None:
    assert CHECKER.check_form(ACCOUNT, URL, FORM, compute_signature(token, URL, FORM)) is Verdict.GENUINE


def test_order_and_repetition_of_parameters_do_not_matter_but_blank_and_unknown_ones_do() -> None:
    form = [*FORM, ("Digits", "2"), ("Digits", "1"), ("Digits", "1"), ("BrandNewParameter", "")]
    signature = RequestValidator("new token").compute_signature(URL, MultiDict(form))

    assert CHECKER.check_form(ACCOUNT, URL, form[::-1], signature) is Verdict.GENUINE
    without_blank = [pair for pair in form if pair[1]]
    assert CHECKER.check_form(ACCOUNT, URL, without_blank, signature) is Verdict.WRONG_SIGNATURE


def test_an_account_that_is_not_listed_is_refused_whatever_it_signs_with() -> None:
    signature = compute_signature("new token", URL, FORM)

    for account in ("AC" + "1" * 32, "", None):
        assert CHECKER.check_form(account, URL, FORM, signature) is Verdict.UNKNOWN_ACCOUNT


def test_a_missing_signature_or_unknown_algorithm_is_refused() -> None:
    assert CHECKER.check_form(ACCOUNT, URL, FORM, None) is Verdict.UNSIGNED
    assert CHECKER.check_form(ACCOUNT, URL, FORM, "") is Verdict.UNSIGNED
    assert CHECKER.check_form(ACCOUNT, URL, FORM, "x", "HMAC_MD5") is Verdict.UNSUPPORTED_ALGORITHM


@pytest.mark.parametrize("tokens", [(), ("",), ("good", "")])
def test_an_account_without_a_real_token_is_refused_at_start(tokens: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="signing token"):
        SignatureChecker({ACCOUNT: tokens})


def test_a_json_body_must_match_the_hash_that_the_url_states() -> None:
    body = b'[{"id": "EZ1"}]'
    url = f"https://h.example/events?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = compute_signature("new token", url)

    assert CHECKER.check_json(ACCOUNT, url, body, signature) is Verdict.GENUINE
    assert CHECKER.check_json(ACCOUNT, url, body + b" ", signature) is Verdict.WRONG_BODY_HASH


def test_a_json_body_without_a_hash_in_the_url_is_refused() -> None:
    url = "https://h.example/events"

    assert CHECKER.check_json(ACCOUNT, url, b"{}", compute_signature("new token", url)) is Verdict.WRONG_BODY_HASH


@pytest.mark.parametrize(
    ("header", "algorithm"),
    [
        (None, "HMAC_SHA1"),
        ("", "HMAC_SHA1"),
        ("key=webhooks_sharedkey_1", "HMAC_SHA1"),
        ("key=webhooks_sharedkey_1,algorithm=HMAC_SHA256", "HMAC_SHA256"),
        ("algorithm = hmac_sha256 , key=x", "HMAC_SHA256"),
        ("algorithm=", "HMAC_SHA1"),
    ],
)
def test_the_algorithm_is_read_from_the_settings_header(header: str | None, algorithm: str) -> None:
    assert algorithm_of(header) == algorithm


def test_a_url_has_at_most_four_forms() -> None:
    assert len(url_forms("https://h.example:8443/a?t='")) == 4
    assert url_forms("/no/host") == ("/no/host",)


HOSTILE = st.text(st.characters(exclude_categories=()), max_size=80)  # with lone surrogates


@given(HOSTILE, st.lists(st.tuples(HOSTILE, HOSTILE), max_size=5), HOSTILE, st.binary(max_size=50), HOSTILE)
def test_no_input_raises_and_none_is_believed(
    url: str, form: list[tuple[str, str]], signature: str, body: bytes, header: str
) -> None:
    for address in (url, f"https://h.example{url}", f"https://{url}", f"https://[{url}]:99999/"):
        assert CHECKER.check_form(ACCOUNT, address, form, signature) is not Verdict.GENUINE
        assert CHECKER.check_json(ACCOUNT, address, body, signature, algorithm_of(header)) is not Verdict.GENUINE


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=8))
def test_whatever_the_official_validator_signs_is_accepted(form: list[tuple[str, str]]) -> None:
    signature = RequestValidator("new token").compute_signature(URL, MultiDict(form))

    assert CHECKER.check_form(ACCOUNT, URL, form, signature) is Verdict.GENUINE

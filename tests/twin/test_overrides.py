from __future__ import annotations

import pytest

from twin.overrides import Overrides, split


def test_without_a_fragment_there_is_one_retry_on_connect_failure() -> None:
    url, overrides = split("https://a.example/cb?m=1")
    assert url == "https://a.example/cb?m=1"
    assert (overrides.connect_ms, overrides.read_ms, overrides.total_ms) == (5_000, 15_000, 15_000)
    assert overrides.retries == 1
    assert [failure for failure in ("ct", "rt", "4xx", "5xx") if overrides.retry(failure)] == ["ct"]


def test_the_fragment_overrides_and_is_cut_off() -> None:
    url, overrides = split("https://a.example/cb?m=1#ct=2000&rt=10000&tt=12000&rc=5&rp=4xx,rt&sni=n&e=ashburn")
    assert url == "https://a.example/cb?m=1"
    assert overrides == Overrides(2_000, 10_000, 12_000, 5, frozenset({"4xx", "rt"}))


def test_all_stands_for_every_failure() -> None:
    _, overrides = split("https://a.example/#rp=all")
    assert all(overrides.retry(failure) for failure in ("ct", "rt", "4xx", "5xx"))


@pytest.mark.parametrize("fragment", ["rc=6", "rc=-1", "ct=99", "rt=15001", "tt=x", "rp=sometimes", "rc=", "²"])
def test_what_is_out_of_range_keeps_its_default(fragment: str) -> None:
    assert split("https://a.example/#" + fragment)[1] == Overrides()

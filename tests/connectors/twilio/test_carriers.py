"""Carriers by the names and codes that customer data uses."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
import yaml

from connectors.twilio.carriers import Carriers, folded


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("AT&T Wireless", "att"),
        ("at&t", "att"),
        ("310410", "att"),
        ("T-Mobile USA, Inc.", "tmobile"),
        (" t mobile ", "tmobile"),
        ("310-260", "tmobile"),
        ("Verizon Wireless", "verizon"),
        ("311480", "verizon"),
        ("tmobile", "tmobile"),
        ("Vodafone", None),
        ("262-02", None),
        ("260", None),
        ("", None),
        ("?", None),
        (None, None),
    ],
)
def test_a_carrier_is_known_by_its_names_and_by_the_codes_of_its_networks(said: str | None, name: str | None) -> None:
    assert Carriers().named(said) == name


def test_the_operators_own_names_come_first_and_may_be_of_a_carrier_of_their_own() -> None:
    own = Carriers({"tmobile": ["Ultra"], "uscellular": ["US Cellular", "311580"], "mine": ["Cricket", "??"]})
    assert [own.named(said) for said in ("ULTRA", "311-580", "cricket", "T-Mobile")] == [
        "tmobile", "uscellular", "mine", "tmobile"
    ]  # fmt: skip
    assert own.named("!") is None
    assert own.names == {"att", "tmobile", "verizon", "uscellular", "mine"}


def test_no_name_or_code_of_the_table_means_two_carriers() -> None:
    table = yaml.safe_load((files("connectors.twilio") / "data/carriers.yaml").read_text(encoding="utf-8"))
    assert set(table) == {"att", "tmobile", "verizon"}
    said = [folded(alias) for each in table.values() for alias in (*each["names"], *each["codes"])]
    assert len(said) == len(set(said))
    assert all(re.fullmatch(r"31[0-6]\d{3}", code) for each in table.values() for code in each["codes"])
    assert all(set(each) == {"names", "codes"} for each in table.values())

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twin.signature import body_sha256, sign

VECTORS = json.loads((Path(__file__).parent / "data" / "signature-vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_signs_as_twilio_does(vector: dict[str, Any]) -> None:
    fields = [(name, value) for name, value in vector["params"]]
    algorithm = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}[vector["algorithm"]]
    assert sign(vector["token"], vector["url"], fields, algorithm=algorithm) == vector["signature"]


def test_the_fragment_is_not_signed() -> None:
    assert sign("t", "https://a.example/cb?m=1#rc=5&rp=all") == sign("t", "https://a.example/cb?m=1")


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["body"] is not None], ids=lambda vector: vector["name"])
def test_a_json_body_is_named_by_its_hash(vector: dict[str, Any]) -> None:
    assert f"bodySHA256={body_sha256(vector['body'].encode())}" in vector["url"]

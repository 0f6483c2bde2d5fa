"""Encode and decode rates of the contracts, without and with Confluent's registry framing.

python -m bench.codec
"""

from __future__ import annotations

import time
from collections.abc import Callable

from schemas.codec import SingleObjectCodec
from schemas.records import Content, MessageRequest

RECORDS = 20_000
ROUNDS = 5


def best_rate(work: Callable[[], object]) -> float:
    """Records per second in the best of some rounds: the others were disturbed."""
    best = 0.0
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(RECORDS):
            work()
        best = max(best, RECORDS / (time.perf_counter() - began))
    return best


def main() -> None:
    codec = SingleObjectCodec()
    request = MessageRequest(
        recipient="+14155550123",
        category="otp",
        content=Content(body="123456 is your login code. It expires in 10 minutes."),
        idempotency_key="order-8842",
        campaign="winter",
        tags={"team": "login", "country": "us"},
        created_at=1_700_000_000_000,
    )
    data = codec.encode(request)
    print(f"request of {len(data)} bytes, typed record in and out")
    print(f"encode {best_rate(lambda: codec.encode(request)):>10,.0f}/s")
    print(f"decode {best_rate(lambda: codec.decode(data)):>10,.0f}/s")


if __name__ == "__main__":
    main()

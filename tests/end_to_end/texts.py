"""Bodies for end-to-end runs: real texts where the collection lies beside the project, else made-up ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

REAL_TEXTS = Path(__file__).parents[3] / "shared" / "data" / "sms-texts.jsonl"
_WORDS = (
    "your order 8842 leaves today", "see you at 7 ☕", "Grüße aus Zürich", "balance €12.40", "“call me”", "naïve café",
    "Ω is not a typo", "don't forget", "{code: [1, 2]}", "👍🏽 thanks", "delivery between 9 and 12", "ñandú", "日本語",
)  # fmt: skip


def bodies(count: int) -> list[str]:
    """That many bodies; repeatable. Real ones repeat only when there are not enough."""
    if REAL_TEXTS.exists():
        texts = [json.loads(line)["text"] for line in REAL_TEXTS.read_text(encoding="utf-8").splitlines()]
        usable = [text for text in texts if text.strip()]
        return [usable[number % len(usable)] for number in range(count)]
    rng = random.Random(11)
    return [" ".join(rng.choices(_WORDS, k=rng.randrange(1, 18))) for _ in range(count)]

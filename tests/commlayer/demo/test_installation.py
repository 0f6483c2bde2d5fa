"""The demo's own configuration passes the checks that every configuration must pass, without a warning."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from commlayer.config.loading import load
from commlayer.demo.installation import Installation
from commlayer.demo.plan import MARKETING, NEWSLETTER, OUTLET, plan


def test_the_demo_configuration_is_valid_and_holds_what_the_plan_counts_on(tmp_path: Path) -> None:
    traffic = plan(5, datetime(2026, 11, 24, tzinfo=UTC))
    installation = Installation.make(tmp_path, "127.0.0.1:9092", traffic)
    loaded = load(installation.configuration_file)
    assert loaded.warnings == ()
    assert not loaded.config.apps[OUTLET].enabled
    assert loaded.config.caps["adverts"].categories == (MARKETING,)
    assert {message.category for message in traffic.messages} <= set(loaded.config.categories)
    assert loaded.config.categories[NEWSLETTER].quiet_hours == "apply"

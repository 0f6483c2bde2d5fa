"""Is the app known, switched on, and not paused?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for an app that is not configured, is disabled, or is paused."""
    grants = case.config.apps.get(case.entry.app)
    if grants is None:
        return Deny(
            Reason.UNKNOWN_APP,
            None,
            f"No app {case.entry.app!r} is configured.",
            "Configure it under `apps`, or write to the topic of a configured app.",
        )
    if not grants.enabled:
        return Deny(
            Reason.APP_DISABLED,
            None,
            f"The app {grants.name!r} is switched off.",
            "Set `enabled: true` for it in the configuration.",
        )
    if grants.name in case.facts.paused_apps:
        return Deny(
            Reason.APP_DISABLED,
            None,
            f"The app {grants.name!r} is paused by an operator.",
            f"`commlayer lanes show --app {grants.name}` tells by whom and why; `lanes resume --app` ends it.",
        )
    return ALLOW

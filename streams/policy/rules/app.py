"""Is the app known and switched on?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for an app that is not configured or is disabled. One that is paused waits: `paused`."""
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
    return ALLOW

"""May messages go to the recipient's country?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for a country that the installation or the app does not allow (premium-rate fraud comes from afar)."""
    country = case.number.country
    if country not in case.config.countries:
        return Deny(
            Reason.COUNTRY_NOT_ALLOWED,
            "recipient",
            f"Messages to {country} are not allowed.",
            "Add the country to `countries.allow`.",
        )
    if case.grants.countries is not None and country not in case.grants.countries:
        return Deny(
            Reason.COUNTRY_NOT_ALLOWED,
            "recipient",
            f"The app {case.grants.name!r} may not send to {country}.",
            "Add the country to the app's `countries`.",
        )
    return ALLOW

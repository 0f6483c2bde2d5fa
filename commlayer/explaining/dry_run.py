"""`commlayer explain --dry-run`: a request in front of the configured rules, with what is known of its person. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from commlayer.config import Configuration
from commlayer.config.conversions import policy_config
from commlayer.config.suggest import instead
from commlayer.moments import moment_words
from connectors.kafka.partitioning import partition_of
from connectors.masking import mask_within
from schemas.records import Channel, MessageClass, MessageRequest
from schemas.topics import request_topic
from streams.consent import Entry as ConsentEntry
from streams.numbers import E164
from streams.policy.case import Entry, Origin, message_id_of
from streams.policy.config import EnrichmentMode
from streams.policy.facts import Facts
from streams.policy.idempotency import digest
from streams.policy.profile import Profile
from streams.policy.rehearsal import Asked, rehearse
from streams.policy.story import tell
from streams.policy.verdict import Allow, Deny

from .advice import meaning
from .known import NEVER_READ, SEGMENT_NOT_ASKED, Known, with_profile

READ = "consent, earlier messages, cancellations, when the person wrote to us, pauses, troubles and backlogs"
NOT_READ = f"{READ}: Kafka was not read"


class BadProfile(ValueError):
    """The profile cannot be read. The text names the field and the fix."""


def profile_of(fields: object) -> Profile:
    """A profile from the values of a file, by the field names of `Profile`.

    Raises:
        BadProfile: a field is unknown or of the wrong type.
    """
    if not isinstance(fields, dict):
        raise BadProfile("the profile is no mapping; write lines such as `time_zone: America/Chicago`")
    names = [field.name for field in dataclasses.fields(Profile)]
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in names:
            raise BadProfile(f"{name}: no such field; {instead(name, names, otherwise='')}")
        values[name] = _profile_value(name, value)
    return Profile(**values)


def run(
    request: MessageRequest,
    app: str,
    *,
    urgent: bool,
    config: Configuration,
    profile: Profile | None,
    now_ms: int,
    known: Known | None = None,
) -> dict[str, Any]:
    """What all rules say, and what would become of the request, as plain values with masked numbers.

    Args:
        profile: customer data that was given by hand.
        known: what was read from Kafka; None: nothing, and the person is taken for a stranger.
    """
    policy = policy_config(config)
    origin = Origin(request_topic(app, urgent=urgent), 0, 0)
    home = None
    if E164.fullmatch(request.recipient) is not None:
        home = partition_of(request.recipient.encode(), policy.partitions)
    message_id = message_id_of(request, app, origin)
    entry = Entry(message_id=message_id, app=app, origin=origin, home=home, urgent=urgent)
    facts = Facts() if known is None else known.facts(request, entry, policy, now_ms)
    facts = with_profile(facts, profile)
    rehearsal = rehearse(request, entry, policy, now_ms, facts)
    told = tell(request, entry, rehearsal.decision, origin, policy, now_ms)
    data: dict[str, Any] = {
        "decision": told.status.value,
        "app": app,
        "category": request.category,
        "to": request.recipient,
        "at": now_ms,
        "rule_version": told.rule_version,
        "rules": [_asked(each) for each in rehearsal.asked],
        "facts": dict(told.facts) | _profile_facts(facts.profile),
        "read": None if known is None else READ,
        "not_available": list(_not_available(config, request, known, profile)),
    }
    if known is not None:
        data["facts"] |= _person_facts(facts, now_ms)
        earlier = known.earlier(request, entry)
        if earlier is not None and earlier.digest in (None, digest(request)):
            data["repeats"] = {"message_id": earlier.message_id, "outcome": earlier.outcome.value, "at": earlier.at}
    for name in ("reason", "rule", "detail", "lane", "account", "sender", "segments", "deadline", "until"):
        value = getattr(told, name)
        if value is not None:
            data[name] = value
    masked: dict[str, Any] = mask_within(data)
    return masked


def is_urgent(config: Configuration, app: str, category: str, wish: bool | None) -> bool:
    """Whether the request would go to the urgent topic: as `commlayer publish` chooses."""
    if wish is not None:
        return wish
    grants = config.apps.get(app)
    known = config.categories.get(category)
    return (
        grants is not None
        and known is not None
        and category in grants.categories
        and known.message_class is MessageClass.CRITICAL
    )


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    at = moment_words(told["at"])
    yield f"{told['app']}: {told['category']} to {told['to']} at {at}, rules {told['rule_version']}"
    for each in told["rules"]:
        yield f"  {each['verdict']:<9}  {each['rule']}"
        if "reason" in each:
            yield f"{' ' * 13}{each['reason']}: {each['meaning']}"
        if "until" in each:
            yield f"{' ' * 13}until {moment_words(each['until'])}"
        if "detail" in each:
            field = f"{each['field']}: " if each.get("field") else ""
            yield f"{' ' * 13}{field}{each['detail']}"
            yield f"{' ' * 13}fix: {each['fix']}"
        if "needs" in each:
            yield f"{' ' * 13}builds on `{each['needs']}`, which does not allow"
    if told["facts"]:
        yield "facts: " + ", ".join(f"{name} {value}" for name, value in sorted(told["facts"].items()))
    if told["read"]:
        yield f"read from Kafka: {told['read']}"
    for each in told["not_available"]:
        yield f"not available, taken for nothing: {each}"
    if "repeats" in told:
        earlier = told["repeats"]
        yield (
            f"repeats message {earlier['message_id']}, {earlier['outcome']} at {moment_words(earlier['at'])}: "
            "policy would finish it without another word"
        )
    by = (
        f" by lane {told['lane']}, {told['segments']} segment{'' if told['segments'] == 1 else 's'}"
        if "lane" in told
        else ""
    )
    why = f" by rule {told['rule']}: {told['reason']}" if "rule" in told else ""
    until = f" until {moment_words(told['until'])}" if "until" in told else ""
    yield f"would be {told['decision']}{by}{why}{until}"


def _asked(asked: Asked) -> dict[str, Any]:
    verdict = asked.verdict
    if verdict is None:
        return {"rule": asked.rule, "verdict": "not asked", "needs": asked.needs}
    if isinstance(verdict, Allow):
        return {"rule": asked.rule, "verdict": "allow"}
    reason = {"reason": verdict.reason.value, "meaning": meaning(verdict.reason)}
    if isinstance(verdict, Deny):
        told = {"field": verdict.field, "detail": verdict.detail, "fix": verdict.fix}
        return {"rule": asked.rule, "verdict": "deny", **reason, **told}
    return {"rule": asked.rule, "verdict": "defer", **reason, "until": verdict.until}


def _not_available(
    config: Configuration, request: MessageRequest, known: Known | None, profile: Profile | None
) -> Iterator[str]:
    if known is None:
        yield NOT_READ
    yield NEVER_READ
    category = config.categories.get(request.category)
    asked = category is not None and category.asks_for_profiles is not EnrichmentMode.NONE
    if profile is None and asked and config.profiles.asks_segment:
        yield SEGMENT_NOT_ASKED


def _person_facts(facts: Facts, now_ms: int) -> dict[str, str]:
    told = {
        "consent.standing": "; ".join(_standing(entry) for entry in facts.ledger.standing(now_ms)) or "nothing",
        "messages.admitted": str(sum(past.admitted for past in facts.past)),
    }
    for address, at in facts.last_inbound.items():
        told[f"last_inbound.{address}"] = moment_words(at)
    if facts.ledger.unreadable is not None:
        told["consent.unreadable"] = "a record of the person cannot be read: opted out of everything until repaired"
    for lane in sorted(facts.unhealthy):
        told[f"lane.{lane}"] = "paused or in trouble"
    for lane, country in sorted(facts.refused):
        told[f"lane.{lane}.{country}"] = "refused by Twilio for this country"
    for lane, why in sorted(facts.failing.items()):
        told[f"lane.{lane}.failing"] = why
    return told


def _standing(entry: ConsentEntry) -> str:
    scope = entry.scope.value if entry.value is None else f"{entry.scope.value} {entry.value}"
    return f"{entry.change.value} {scope}"


def _profile_facts(profile: Profile | None) -> dict[str, str]:
    if profile is None:
        return {}
    shown = ("time_zone", "country", "state", "locale", "preferred_channel", "carrier")
    return {f"profile.{name}": str(value) for name in shown if (value := getattr(profile, name)) is not None}


def _profile_value(name: str, value: object) -> object:
    if name == "variables":
        if isinstance(value, dict) and all(isinstance(each, str) for pair in value.items() for each in pair):
            return value
        raise BadProfile("variables: no mapping of texts to texts; put the values in quotes")
    if not isinstance(value, str):
        raise BadProfile(f"{name}: no text; put it in quotes")
    if name == "preferred_channel":
        try:
            return Channel(value)
        except ValueError:
            raise BadProfile(f"{name}: {instead(value, list(Channel), otherwise='')}") from None
    return value

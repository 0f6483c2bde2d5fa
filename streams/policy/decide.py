"""The decision on one request: pure, so that the same request under the same configuration is decided the same."""

from __future__ import annotations

from connectors.twilio import segments
from schemas.records import Channel, Deferral, Dispatch, Encoding, MessageRequest, Stage
from streams import numbers

from . import senders
from .case import Case, Entry
from .config import Category, PolicyConfig, Sender
from .facts import NOTHING_KNOWN, Facts
from .fallback import OF_THE_CHANNEL, next_request
from .rules import RULES, RULES_VERSION, consent, quiet_hours
from .said import Wording
from .verdict import ALLOW, Admitted, Allow, Decision, Defer, Deferred, Denied, Deny
from .whatsapp import needs_window, opens, window_end


def decide(
    request: MessageRequest, entry: Entry, config: PolicyConfig, now_ms: int, facts: Facts = NOTHING_KNOWN
) -> Decision:
    """Ask the rules in their order; the first that does not allow decides, otherwise the message is admitted.

    Args:
        request: what the app asked for.
        entry: how it came here.
        config: the installation.
        now_ms: the moment of decision, epoch milliseconds UTC.
        facts: what is known beside them.
    """
    case = Case(request, entry, config, now_ms, facts)
    for rule in RULES:
        verdict = rule.check(case)
        if verdict is ALLOW or isinstance(verdict, Allow):
            continue
        if isinstance(verdict, Deny):
            return _by_another_channel(case, verdict, rule.name) or Denied(verdict, rule.name, _known(case, verdict))
        deferral = _deferral(case, verdict.until, verdict.reason, case.request)
        return Deferred(deferral, verdict, rule.name, _known(case, verdict))
    choice = senders.choose(case)
    if isinstance(choice, Deny):
        raise AssertionError("the rule 'sender' allowed what has no sender")
    assert case.wording is not None, "the rule 'content' allowed what says nothing"
    order = _dispatch(case, choice, case.wording)
    story = {**case.wording.facts, "avoided": "; ".join(case.avoided)} if case.avoided else case.wording.facts
    if order.carrier is not None:
        story = {**story, "carrier": order.carrier}
    return Admitted(order, choice.partition, story, opens=opens(case, choice))


def rule_version(config: PolicyConfig) -> str:
    """Version of rules, configuration and packaged law, as every decision carries it."""
    known: str | None = config.worked_out.get("rule version")
    if known is None:
        law = config.quiet_hours.law
        known = f"{RULES_VERSION}/{config.version}" if law is None else f"{RULES_VERSION}/{config.version}/law-{law}"
        config.worked_out["rule version"] = known
    return known


def _by_another_channel(case: Case, deny: Deny, rule: str) -> Deferred | None:
    """The next round on the next channel, where the denial was about this one."""
    of_channel = deny.of_channel or deny.reason in OF_THE_CHANNEL
    moved = next_request(case.request, case.config) if of_channel else None
    if moved is None:
        return None
    defer = Defer(case.now_ms, deny.reason)
    facts = {**_known(case, deny), "next_channel": moved.channel.value}
    return Deferred(_deferral(case, defer.until, defer.reason, moved), defer, rule, facts)


def _known(case: Case, verdict: Deny | Defer) -> dict[str, str]:
    """What is told of a verdict beside its reason: what the rule went by, and what was known of the person."""
    facts = {} if case.entry.home is None else {"consent_position": str(case.facts.ledger.position)}
    number = numbers.look_up(case.request.recipient)
    if number is not None:
        facts["country"] = number.country
    if case.facts.profile is not None:
        facts["profile"] = "known"
    return {**facts, **verdict.facts}


def _deferral(case: Case, until: int, reason: str, request: MessageRequest) -> Deferral:
    return Deferral(
        message_id=case.entry.message_id,
        round=case.entry.round + 1,
        app=case.entry.app,
        due_at=until,
        reason=reason,
        by=Stage.POLICY,
        request=request,
        origin=str(case.entry.origin),
        deadline=case.deadline,
        at=case.now_ms,
    )


def _dispatch(case: Case, sender: Sender, wording: Wording) -> Dispatch:
    request, category = case.request, case.category
    smart_encoding = sender.smart_encoding if request.smart_encoding is None else request.smart_encoding
    cost, encoding = _cost(request.channel, wording.body, smart_encoding)
    return Dispatch(
        message_id=case.entry.message_id,
        round=case.entry.round,
        app=case.entry.app,
        recipient=request.recipient,
        recipient_id=request.recipient_id or _customer_id(case),
        channel=request.channel,
        category=category.name,
        message_class=case.message_class,
        account=sender.account,
        lane=sender.lane,
        group=sender.group,
        sender=sender.address,
        messaging_service_sid=sender.messaging_service_sid,
        body=wording.body,
        media_urls=request.content.media_urls,
        content_sid=wording.content_sid,
        content_variables=wording.variables,
        segments=cost,
        encoding=encoding,
        requested_at=request.created_at,
        decided_at=case.now_ms,
        deadline=case.deadline,
        allowed_until=_allowed_until(case, sender),
        consent_partition=case.entry.home,
        consent_position=None if case.entry.home is None else max(0, case.facts.ledger.position),
        doubt_policy=category.doubt_policy,
        rule_version=rule_version(case.config),
        locale=request.locale,
        campaign=request.campaign,
        tags=request.tags,
        correlation_id=request.correlation_id,
        in_reply_to=request.in_reply_to,
        fallback_channels=request.fallback_channels,
        message_intent=category.message_intent,
        shorten_urls=_shorten_urls(request, wording, category, sender),
        smart_encoding=smart_encoding or None,
        validity_period_s=(
            category.validity_period_s if request.validity_period_s is None else request.validity_period_s
        ),
        traceparent=case.entry.traceparent,
        carrier=_carrier(case),
    )


def _customer_id(case: Case) -> str | None:
    """What customer data calls the person, where the app does not say: who reads the status knows whom it is about."""
    profile = case.facts.profile
    return None if profile is None else profile.customer_id


def _carrier(case: Case) -> str | None:
    """Who serves the number, where customer data says so and the message goes over that carrier."""
    profile = case.facts.profile
    if profile is None or case.request.channel is Channel.WHATSAPP:
        return None
    return case.config.carriers.named(profile.carrier)


def _allowed_until(case: Case, sender: Sender) -> int | None:
    """When the next quiet hours begin, the person's consent ends or WhatsApp's window closes, whichever comes first."""
    first = quiet_hours.allowed_until(case)
    for end in (consent.allowed_until(case), window_end(case, sender) if needs_window(case) else None):
        if end is not None and (first is None or end < first):
            first = end
    return first


def _shorten_urls(request: MessageRequest, wording: Wording, category: Category, sender: Sender) -> bool | None:
    """As the request says, the template, the category. A wish of template or category is dropped where the sender has
    no domain for short links: Twilio would refuse the message (30124)."""
    if request.shorten_urls is not None:
        return request.shorten_urls
    wish = category.shorten_urls if wording.shorten_urls is None else wording.shorten_urls
    return wish if not wish or sender.short_links else None


def _cost(channel: Channel, body: str | None, smart_encoding: bool) -> tuple[int, Encoding]:
    """What the message costs its lane: the segments of a text; one for media and WhatsApp, and for a Content
    template, whose text only Twilio knows."""
    if channel is not Channel.SMS or body is None:
        return 1, Encoding.NONE
    counted = segments.count(body, smart_encoding=smart_encoding)
    return counted.segments, counted.encoding

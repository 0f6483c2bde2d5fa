"""What each layer below needs of the configuration, in that layer's own types."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka.acls import AppAccess, ConsumerAccess
from connectors.kafka.plan import Actual, Plan, plan_installation
from connectors.kafka.settings import KafkaSecurity, KafkaSettings
from connectors.profiles.settings import SegmentSettings
from connectors.twilio.account import Account
from connectors.twilio.carriers import Carriers
from connectors.twilio.errors import ErrorPolicy
from connectors.webhooks.settings import BridgeSettings
from schemas import topics
from schemas.topics import PartitionCounts, catalogue
from streams.dispatch.lanes import Budget, DayCap, Group, Lane, LaneKind, LaneTable
from streams.dispatch.scheduler_settings import SchedulerSettings
from streams.policy.config import (
    AppGrants,
    Category,
    ConsentRule,
    EnrichmentMode,
    PolicyConfig,
    Quota,
    Sender,
    SenderType,
)

from .fields import duration_s, host_and_port
from .model import Configuration
from .rules import FeedbackTopic
from .secrets import Secrets
from .twilio import Account as AccountSection
from .twilio import Sender as SenderSection

BRIDGE_DRAIN_S = 4.0
"""How long a stopping bridge waits for webhooks in flight: with the publisher's 10 s that is within the 15 s of every
process. Twilio tries again what was cut off."""

_FEEDBACK_TOPICS = {
    FeedbackTopic.STATUS: topics.FEEDBACK_STATUS,
    FeedbackTopic.INBOUND: topics.FEEDBACK_INBOUND,
    FeedbackTopic.ENGAGEMENT: topics.FEEDBACK_ENGAGEMENT,
    FeedbackTopic.CONSENT: topics.CONSENT,
}


def kafka_settings(config: Configuration, secrets: Secrets) -> KafkaSettings:
    """How every part of a process reaches Kafka."""
    kafka = config.kafka
    security = kafka.security
    return KafkaSettings(
        bootstrap=kafka.bootstrap,
        security=KafkaSecurity(
            protocol=security.protocol,
            mechanism=security.mechanism,
            username=security.username or secrets.find(security.username_from),
            password=None if security.password is None else secrets.value(security.password),
            ca_file=security.ca_file,
        ),
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_interval_s=min(3.0, kafka.session_timeout_s / 3),
        request_timeout_s=kafka.request_timeout_s,
        # The lease ends with the shorter of session and rebalance, and a request to a broker outlasts both.
        rebalance_timeout_s=kafka.session_timeout_s,
        broker_request_timeout_s=kafka.session_timeout_s + 10.0,
    )


def partition_counts(config: Configuration) -> PartitionCounts:
    """Partitions per kind of topic."""
    counts = config.kafka.partitions
    return PartitionCounts(
        recipient=counts.recipient,
        dispatch=counts.dispatch,
        lifecycle=counts.lifecycle,
        dead=counts.dead,
        control=counts.control,
    )


def topic_plan(config: Configuration, actual: Actual, *, dev: bool) -> Plan:
    """What `topics apply` would do to the cluster as it is.

    Args:
        dev: accept fewer replicas than keep records safe.
    """
    apps = [AppAccess(name, app.principal) for name, app in config.apps.items()]
    consumers = [
        ConsumerAccess(name, each.principal, tuple(_FEEDBACK_TOPICS[topic] for topic in each.topics))
        for name, each in config.consumers.items()
    ]
    return plan_installation(
        catalogue=catalogue(config.apps),
        counts=partition_counts(config),
        replication=config.kafka.replication,
        dev=dev,
        apps=apps,
        consumers=consumers,
        stage_principals={party.value: principal for party, principal in config.kafka.principals.items()},
        actual=actual,
    )


def bridge_settings(config: Configuration, secrets: Secrets) -> BridgeSettings:
    """Where the bridge listens, and whose webhooks it takes."""
    host, port = host_and_port(config.bridge.listen)
    return BridgeSettings(
        public_url=config.bridge.public_url,
        accounts=tuple(accounts(config, secrets).values()),
        host=host,
        port=port,
        max_body=config.bridge.max_body,
        drain_s=BRIDGE_DRAIN_S,
    )


def policy_config(config: Configuration) -> PolicyConfig:
    """The installation as policy sees it."""
    return PolicyConfig(
        version=config.version,
        apps={
            name: AppGrants(
                name=name,
                categories=frozenset(app.categories),
                pools=tuple(dict.fromkeys(((app.pool,) if app.pool else ()) + app.pools)),
                senders=app.senders,
                countries=None if app.countries is None else frozenset(app.countries),
                enabled=app.enabled,
                templates=app.templates,
                geo_match=app.geo_match,
                classes=app.classes,
                deadlines_s=app.deadlines_s,
                quota=Quota() if app.quota is None else app.quota.as_policy(),
            )
            for name, app in config.apps.items()
        },
        categories={
            name: Category(
                name=name,
                message_class=category.message_class,
                deadline_s=category.deadline_s,
                doubt_policy=category.doubt,
                message_intent=category.intent,
                validity_period_s=category.validity_period_s,
                shorten_urls=category.shorten_urls,
                unsubscribe=category.unsubscribe,
                consent=category.consent,
                quiet_hours=category.keeps_quiet_hours,
                enrichment=category.asks_for_profiles if config.profiles.asks_segment else EnrichmentMode.NONE,
            )
            for name, category in config.categories.items()
        },
        senders={name: _policy_sender(config, name, sender) for name, sender in config.senders.items()},
        pools=config.pools,
        countries=frozenset(config.countries.allow),
        templates={name: template.as_policy(name) for name, template in config.templates.items()},
        content_templates={
            template.sid.lower(): template.as_policy(name) for name, template in config.content_templates.items()
        },
        unsubscribe_lines=config.unsubscribe_lines,
        quiet_hours=config.quiet_hours.resolved(),
        profiles_by_topic=config.profiles.reads_topic,
        partitions=config.kafka.partitions.recipient,
        caps=tuple(cap.as_policy(name) for name, cap in config.caps.items()),
        carriers=Carriers(config.carriers),
        remember_ms=duration_s(config.idempotency.remember) * 1000,
    )


def segment_settings(config: Configuration, secrets: Secrets) -> SegmentSettings | None:
    """How Segment's Profile API is asked; None when nobody asks it."""
    segment = config.profiles.segment
    if segment is None or not config.profiles.asks_segment:
        return None
    return segment.settings(secrets.value(segment.token))


def lane_table(config: Configuration) -> LaneTable:
    """Lanes, pacing groups and budgets of dispatch."""
    groups = [
        Group(
            name,
            group.partition,
            group.rate,
            group.budget,
            {carrier: granted.rate for carrier, granted in group.carriers.items()},
        )
        for name, group in config.groups.items()
    ]
    groups += [
        Group(name, sender.partition)
        for name, sender in config.senders.items()
        if sender.group is None and sender.partition is not None
    ]
    lanes = [
        Lane(
            name=name,
            account=sender.account,
            address=lane_address(sender),
            rate=sender.rate,
            group=group_of(name, sender),
            kind=LaneKind.SENDER if sender.messaging_service_sid is None else LaneKind.MESSAGING_SERVICE,
            channels=sender.usable_channels,
        )
        for name, sender in config.senders.items()
    ]
    budgets = [
        Budget(
            name,
            budget.rate,
            {carrier: DayCap(day.per_day, day.kept_for_critical) for carrier, day in budget.carriers.items()},
        )
        for name, budget in config.budgets.items()
    ]
    return LaneTable.of(lanes, groups, budgets, partitions=config.kafka.partitions.dispatch)


def scheduler_settings(config: Configuration) -> SchedulerSettings:
    """What the classes keep, and how much may be under way to each account."""
    return SchedulerSettings(
        shares=config.dispatch.shares.by_rank,
        slots={name: account.max_in_flight for name, account in config.accounts.items()},
    )


def brands(config: Configuration) -> Mapping[str, str]:
    """Brand of the lanes that have one."""
    return {name: sender.brand for name, sender in config.senders.items() if sender.brand is not None}


def budgets(config: Configuration) -> Mapping[str, str]:
    """Budget (a 10DLC brand) of the lanes that have one."""
    of_group = {name: group.budget for name, group in config.groups.items() if group.budget is not None}
    of_lane = {name: of_group.get(group_of(name, sender)) for name, sender in config.senders.items()}
    return {name: budget for name, budget in of_lane.items() if budget is not None}


def categories_by_law(config: Configuration) -> frozenset[str]:
    """Categories that opt-outs do not stop."""
    return frozenset(
        name for name, category in config.categories.items() if category.consent is ConsentRule.REQUIRED_BY_LAW
    )


def accounts(config: Configuration, secrets: Secrets) -> Mapping[str, Account]:
    """Twilio accounts by name, with as much of their credentials as this process has read: a bridge cannot send, a
    dispatch process cannot check signatures."""
    return {name: _account(name, account, secrets) for name, account in config.accounts.items()}


def error_policy(config: Configuration) -> ErrorPolicy:
    """What Twilio's errors mean: the packaged table with the installation's own rules."""
    return ErrorPolicy({int(code): rule.as_override() for code, rule in config.errors.items()})


def group_of(name: str, sender: SenderSection) -> str:
    """The pacing group of a sender; its own when it names none."""
    return sender.group or name


def lane_address(sender: SenderSection) -> str:
    """What makes a sender one lane. A number is two of them when it is a WhatsApp sender as well."""
    if sender.messaging_service_sid is not None:
        return sender.messaging_service_sid
    prefix = "whatsapp:" if sender.type is SenderType.WHATSAPP else ""
    return f"{prefix}{sender.address}"


def _policy_sender(config: Configuration, name: str, sender: SenderSection) -> Sender:
    group = group_of(name, sender)
    partition = config.groups[group].partition if sender.group is not None else sender.partition
    assert partition is not None  # placement was checked at loading
    return Sender(
        name=name,
        account=sender.account,
        lane=name,
        group=group,
        partition=partition,
        address=sender.address,
        messaging_service_sid=sender.messaging_service_sid,
        type=sender.type,
        channels=frozenset(sender.usable_channels),
        countries=None if sender.countries is None else frozenset(sender.countries),
        rate=sender.rate,
        smart_encoding=sender.smart_encoding,
        short_links=sender.short_links,
        brand=sender.brand,
        categories=None if sender.categories is None else frozenset(sender.categories),
        daily_people=sender.daily_people,
    )


def _account(name: str, account: AccountSection, secrets: Secrets) -> Account:
    if account.api_key is not None:
        user, password = account.api_key.sid, secrets.find(account.api_key.secret)
    else:
        user, password = account.sid, secrets.find(account.auth_token)
    tokens = [secrets.find(token) for token in (account.auth_token, *account.signing_tokens)]
    return Account(
        name=name,
        sid=account.sid,
        api_user=user,
        api_password=password or "",
        base_url=account.base_url.rstrip("/"),
        signing_tokens=tuple(dict.fromkeys(token for token in tokens if token)),
    )

"""Reads a cluster and changes it as planned. Blocks: for the command line, or a thread."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from connectors.kafka.acls import Acl, Operation, Resource, named, reaches_ours
from connectors.kafka.plan import (
    Actual,
    ActualTopic,
    AddPartitions,
    AlterSettings,
    Change,
    CreateTopic,
    Plan,
)
from connectors.kafka.settings import KafkaSettings
from schemas.topics import PREFIX

_Answer = TypeVar("_Answer")

TIMEOUT_S = 30.0
"""For one request. Creating some hundred partitions takes seconds."""
_ATTEMPT_S = 2.0  # for the first answer, so that refused credentials are told soon

_NEWS_TRAVEL_S = 10.0
"""A broker may be asked about a new topic before it has heard of it from the controller; milliseconds, as a rule."""
_PAUSE_S = 0.1

_RESOURCES = {ResourceType.TOPIC: Resource.TOPIC, ResourceType.GROUP: Resource.GROUP}
_OPERATIONS = {
    AclOperation.READ: Operation.READ,
    AclOperation.WRITE: Operation.WRITE,
    AclOperation.DESCRIBE: Operation.DESCRIBE,
}


SHOWN_POLL_S = 0.05
"""Between questions whether a new topic is shown."""


class AdminFailed(Exception):
    """The cluster did not do what was asked. The text says what, why, and who asked."""


class TopicAdmin:
    """One cluster, as its administrator sees it.

    Args:
        settings: credentials of a principal that may do it: create, alter and describe topics, alter and describe ACLs.
        timeout_s: for each request.
    """

    def __init__(self, settings: KafkaSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._where = ", ".join(settings.bootstrap)
        self._user = settings.security.username or "anonymous"
        self._trouble: KafkaError | None = None
        self._client = AdminClient(
            # What librdkafka would print reaches us by error_cb.
            {**settings.client_config(), "error_cb": self._on_error, "client.id": "commlayer-admin", "log_level": 0}
        )

    def read_actual(self) -> Actual:
        """The cluster as it is.

        Raises:
            AdminFailed: no answer, wrong credentials, or not allowed to ask.
        """
        metadata = self._ask("asking for topics", self._metadata)
        found = {name: topic.partitions for name, topic in metadata.topics.items() if name.startswith(PREFIX)}
        settings = self._settings_of(found)
        topics = {
            name: ActualTopic(
                partitions=len(partitions),
                replication=min(len(partition.replicas) for partition in partitions.values()),
                settings=settings[name],
            )
            for name, partitions in found.items()
        }
        acls, foreign = self._acls()
        return Actual(brokers=len(metadata.brokers), topics=topics, acls=acls, foreign_acls=foreign)

    def apply(self, plan: Plan, done: Callable[[Change], None] = lambda _: None) -> None:
        """Make the planned changes, in their order.

        Args:
            done: told of every change that was made.

        Raises:
            AdminFailed: the plan refuses; or a change failed, and those after it were not tried. Plan again then.
        """
        if plan.refusals:
            raise AdminFailed("nothing was done: " + "; ".join(plan.refusals))
        for change in plan.changes:
            self._ask(str(change), functools.partial(self._make, change))
            done(change)
        self._wait_until_shown(plan.changes)

    def _wait_until_shown(self, changes: Iterable[Change]) -> None:
        """Brokers learn of a new topic a moment after the controller made it; who starts right after must find it."""
        counts = {change.name: change.partitions for change in changes if isinstance(change, CreateTopic)}
        counts |= {change.name: change.want for change in changes if isinstance(change, AddPartitions)}
        deadline = time.monotonic() + self._timeout_s
        while counts:
            topics = self._ask("asking for topics", self._metadata).topics
            counts = {
                name: count
                for name, count in counts.items()
                if name not in topics or len(topics[name].partitions) < count
            }
            if counts and time.monotonic() > deadline:
                raise AdminFailed(f"made, but not shown by the brokers yet: {', '.join(sorted(counts))}")
            time.sleep(SHOWN_POLL_S if counts else 0)

    def _metadata(self) -> ClusterMetadata:
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return self._client.list_topics(timeout=_ATTEMPT_S)
            except KafkaException:
                self._client.poll(0)  # lets error_cb say what it knows
                if self._refused() or time.monotonic() > deadline:
                    raise

    def _make(self, change: Change) -> None:
        futures: Mapping[Any, Future[Any]]
        if isinstance(change, CreateTopic):
            topic = NewTopic(change.name, change.partitions, change.replication, config=dict(change.settings))
            futures = self._client.create_topics([topic], operation_timeout=self._timeout_s)
        elif isinstance(change, AddPartitions):
            more = NewPartitions(change.name, change.want)
            futures = self._client.create_partitions([more], operation_timeout=self._timeout_s)
        elif isinstance(change, AlterSettings):
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in change.settings.items()
            ]
            resource = ConfigResource(ConfigResource.Type.TOPIC, change.name, incremental_configs=entries)
            futures = self._client.incremental_alter_configs([resource])
        else:
            futures = self._client.create_acls([_binding(change.acl)])
        for future in futures.values():
            future.result(self._timeout_s)

    def _settings_of(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        if not resources:
            return {}

        def read() -> dict[str, dict[str, str]]:
            return {
                resource.name: {entry.name: entry.value for entry in future.result(self._timeout_s).values()}
                for resource, future in self._client.describe_configs(resources).items()
            }

        deadline = time.monotonic() + _NEWS_TRAVEL_S
        while True:
            try:
                return self._ask("asking for topic settings", read)
            except AdminFailed as failed:
                unheard = _code(failed.__cause__) == KafkaError.UNKNOWN_TOPIC_OR_PART
                if not unheard or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_S)

    def _acls(self) -> tuple[frozenset[Acl] | None, tuple[str, ...]]:
        """Grants of our kind, and sentences about other rules that reach our topics."""
        everything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
        )
        bindings = self._ask("asking for ACLs", lambda: self._client.describe_acls(everything).result(self._timeout_s))
        if not bindings and not self._has_authorizer():
            return None, ()
        grants, foreign = set(), []
        for binding in bindings:
            acl = _acl(binding)
            if acl is not None:
                grants.add(acl)
            elif binding.restype in _RESOURCES and reaches_ours(
                _RESOURCES[binding.restype], binding.name, prefixed=_is_prefix(binding)
            ):
                foreign.append(_sentence(binding))
        return frozenset(grants), tuple(sorted(foreign))

    def _has_authorizer(self) -> bool:
        """The client hides the broker's "no authorizer is configured" behind an empty list of ACLs. Brokers that keep
        their settings to themselves are run by somebody who has one."""
        broker = ConfigResource(ConfigResource.Type.BROKER, str(min(self._metadata().brokers)))
        try:
            [settings] = [one.result(self._timeout_s) for one in self._client.describe_configs([broker]).values()]
        except KafkaException:
            return True
        authorizer = settings.get("authorizer.class.name")
        return authorizer is None or authorizer.value != ""

    def _ask(self, what: str, how: Callable[[], _Answer]) -> _Answer:
        try:
            return how()
        except (KafkaException, TimeoutError) as error:
            raise AdminFailed(f"{what} failed: {self._why(error)} (Kafka at {self._where}, as {self._user})") from error

    def _why(self, error: BaseException) -> str:
        if _code(error) not in (None, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
            return str(error.args[0].str())
        if self._trouble is None:
            return "no answer"
        if self._refused():
            return f"the credentials were refused: {self._trouble.str()}"
        return f"no answer: {self._trouble.str()}"

    def _refused(self) -> bool:
        """librdkafka would try a wrong password again and again; nobody who waits for an answer should."""
        refusals = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
        return self._trouble is not None and self._trouble.code() in refusals

    def _on_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self._trouble is None:  # that one says least
            self._trouble = error


def _code(error: BaseException | None) -> int | None:
    return int(error.args[0].code()) if isinstance(error, KafkaException) else None


def _binding(acl: Acl) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC if acl.resource is Resource.TOPIC else ResourceType.GROUP,
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
        acl.principal,
        "*",
        AclOperation[acl.operation.name],
        AclPermissionType.ALLOW,
    )


def _acl(binding: AclBinding) -> Acl | None:
    """The grant, if it is one of the kind that we give."""
    ours = (
        binding.restype in _RESOURCES
        and binding.operation in _OPERATIONS
        and binding.permission_type == AclPermissionType.ALLOW
        and binding.host == "*"
        and binding.resource_pattern_type in (ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED)
    )
    if not ours:
        return None
    return Acl(
        principal=binding.principal,
        resource=_RESOURCES[binding.restype],
        name=binding.name,
        operation=_OPERATIONS[binding.operation],
        prefixed=_is_prefix(binding),
    )


def _sentence(binding: AclBinding) -> str:
    verb = "may" if binding.permission_type == AclPermissionType.ALLOW else "may not"
    operation = "use" if binding.operation == AclOperation.ALL else binding.operation.name.lower().replace("_", " ")
    resource = _RESOURCES[binding.restype]
    what = f"{resource} {named(binding.name, prefixed=_is_prefix(binding))}"
    host = "" if binding.host == "*" else f" from {binding.host}"
    return f"{binding.principal} {verb} {operation} {what}{host}, which is not configured"


def _is_prefix(binding: AclBinding) -> bool:
    return bool(binding.resource_pattern_type == ResourcePatternType.PREFIXED)

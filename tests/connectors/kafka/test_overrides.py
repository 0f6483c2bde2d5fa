"""The private parts of faust, mode and aiokafka that the transport overrides or leans on are those it was written for.

A failure here after an upgrade is no bug yet: read the new source of what is named, see whether the reason for the
override still holds and whether ours still fits, run tests/hazards, and only then take over the new digest, which the
failure prints.
"""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest
from faust.transport.consumer import Consumer

import connectors.kafka
from tests.support.reviewed import digest

REVIEWED = {
    # consumer.py: overridden
    "faust.transport.consumer:Consumer.__init__": "302410d59e6972d1",
    "faust.transport.consumer:Consumer._reset_state": "488b46f5c7f1d0b0",
    "faust.transport.consumer:Consumer.ack": "5fcf41cf45153475",
    "faust.transport.consumer:Consumer.commit": "a354437baaa08bf8",
    "faust.transport.consumer:Consumer.on_buffer_drop": "4b57e8a418d5ad9c",
    "faust.transport.consumer:Consumer.on_buffer_full": "c8961679e0bcdce5",
    "faust.transport.consumer:Consumer.on_partitions_assigned": "29ce96596f05a18c",
    "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "faust.transport.consumer:Consumer.on_stop": "45b1d2210ce2b526",
    "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.consumer:Consumer.resume_flow": "db59630f25b5819b",
    "faust.transport.consumer:Consumer.stop_flow": "cf7e875a2b0d40e8",
    "faust.transport.consumer:Consumer.verify_all_partitions_active": "4e0e46f5c297305d",
    "faust.transport.consumer:Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.consumer:Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer:ThreadDelegateConsumer": "a1b934b198fae1c0",
    "faust.transport.drivers.aiokafka:Consumer": "959f899e8ebfdd56",
    # consumer.py: who calls them, and when
    "faust.transport.consumer:Consumer._commit_handler": "4e5da5df073082d6",
    "faust.transport.consumer:Fetcher": "c922e4ab78d9e296",
    "faust.transport.conductor:Conductor._update_tp_index": "e8e3ac9025ef44f7",
    "faust.transport.conductor:Conductor._subscriber": "2a79085834048049",
    "faust.app.base:App._on_partitions_assigned": "de932b7927db85b3",
    "faust.app.base:App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base:App._stop_consumer": "55854a5de12c3f52",
    "faust.app.base:App.create_event": "15fea3d1e95e6625",
    "faust.app.base:App.on_init_dependencies": "7621a70a9b01f93f",
    "faust.app.base:App.on_rebalance_start": "5c1e23de30674082",
    "faust.app.base:App.on_stop": "bfe5a933defb2324",
    "faust.app.base:BootStrategy": "ecc05db10abceee9",
    "faust.events:Event.__init__": "a1d3454dce427003",
    "faust.events:Event.ack": "2d29a6eda87c4ce5",
    "faust.types.tuples:Message.ack": "4751b72c4ed84153",
    "faust.types.tuples:ConsumerMessage": "5edc45d571eb42a2",
    "faust.streams:Stream._c_aiter": "fa44582a5882e9df",
    "faust.streams:Stream._py_aiter": "3a48ee257a65435b",
    "faust.agents.agent:Agent._execute_actor": "c750b828d2bda93e",
    "mode.utils.queues:FlowControlEvent": "1da8f905ab655e39",
    "mode.utils.queues:FlowControlQueue": "15f15a87fd6de428",
    "mode.utils.queues:ThrowableQueue": "44872deb65478e1f",
    # resume.py
    "faust.tables.manager:TableManager": "f6eed12883a36a91",
    "faust.tables.recovery:Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "faust.tables.recovery:Recovery._resume_streams": "d986a6710c1aca98",
    "faust.tables.recovery:Recovery.on_rebalance": "aa4d997a1795ceae",
    # consumer_thread.py
    "faust.transport.consumer:ConsumerThread": "4914fd92c2a06b39",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_start": "38b4e8bd1e10723a",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_thread_stop": "8dfc004e258b6c25",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.position": "20a2c434bb8ed180",
    "faust.transport.drivers.aiokafka:ConsumerRebalanceListener": "f3d04f29dfb3f716",
    "faust.transport.drivers.aiokafka:credentials_to_aiokafka_auth": "364c9c9c68523c50",
    "mode.threads:ServiceThread": "327e312386fa686b",
    "mode.threads:QueueServiceThread": "219c18b1f4999078",
    # assignor.py, sharing_out.py
    "faust.assignor.partition_assignor:PartitionAssignor": "aed92a63506a10ff",
    "faust.assignor.client_assignment:ClientMetadata": "863328922f0a6bb1",
    "aiokafka.coordinator.protocol:ConsumerProtocolMemberAssignment": "44c63b54117ef65e",
    "aiokafka.coordinator.protocol:ConsumerProtocolMemberMetadata": "7a44758834519a91",
    "aiokafka.client:AIOKafkaClient._maybe_wait_metadata": "a08917ffb0ba3714",
    # batches.py
    "aiokafka.record.default_records:_DefaultRecordBatchPy": "f63fbb5a8a247d54",
    "aiokafka.record.memory_records:_MemoryRecordsPy": "795a0314fbca30af",
    "aiokafka.consumer.fetcher:FetchResult": "d7db13f06de8248c",
    "aiokafka.consumer.fetcher:FetchError": "10966ad4c7954483",
    "aiokafka.consumer.fetcher:PartitionRecords": "94aa0da0dbec8d1b",
    "aiokafka.consumer.fetcher:Fetcher": "2b011d9164fa851b",
    "aiokafka.consumer.group_coordinator:BaseCoordinator": "e0fbe0d12fe5a4bd",
    "aiokafka.consumer.group_coordinator:GroupCoordinator": "3cc75f875a239167",
    "aiokafka.consumer.group_coordinator:CoordinatorGroupRebalance": "20ed95eaf623513c",
    "aiokafka.consumer.subscription_state:SubscriptionState": "387f8a497901966d",
    "aiokafka.consumer.subscription_state:Assignment": "ce6859542c70a3d4",
    "aiokafka.consumer.subscription_state:TopicPartitionState": "2b83334afadf6d98",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.__init__": "01506f316191f7c9",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.start": "2f1ba70443327538",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.beginning_offsets": "8da4f7758ad4eef9",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.end_offsets": "f4b19078581881ba",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.seek": "a9430f1f3b9ac419",
    "aiokafka.protocol.commit:OffsetCommitRequest": "07d8cb363446f10a",
    # worker.py
    "mode.services:Service._crash": "7bc0c709a151d556",
    "mode.services:Service.crash": "14980000465df0af",
    "mode.services:Service.stop": "e17cd2b6bd01e861",
    "mode.services:Service._actually_start": "def664241401b666",
    "mode.supervisors:CrashingSupervisor": "37e805f0af2149ce",
}


FOREIGN = ("faust", "mode", "aiokafka")


def overridden() -> Iterator[tuple[str, str]]:
    """Class (as in `REVIEWED`) and name of everything of theirs in whose place we put something."""
    for found in pkgutil.walk_packages(connectors.kafka.__path__, "connectors.kafka."):
        module = import_module(found.name)
        ours = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == found.name]
        for cls in ours:
            for name, value in vars(cls).items():
                theirs = (base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] in FOREIGN)
                base = next((base for base in theirs if name in vars(base)), None)
                if base is not None and (inspect.isroutine(value) or isinstance(value, property)):
                    yield f"{base.__module__}:{base.__qualname__}", name


def test_everything_that_is_overridden_was_reviewed() -> None:
    missing = {f"{base}.{name}" for base, name in overridden() if not {base, f"{base}.{name}"} & REVIEWED.keys()}
    assert missing == set(), "read the source of each as this file's first lines say, then add it with its digest"


def test_what_is_overridden_is_found() -> None:
    found = {f"{base}.{name}" for base, name in overridden()}
    assert "faust.transport.consumer:Consumer.ack" in found
    assert "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.position" in found
    assert len(found) > 20


@pytest.mark.parametrize("name", REVIEWED)
def test_the_source_is_the_one_that_was_reviewed(name: str) -> None:
    found = digest(name)
    assert found == REVIEWED[name], (
        f"{name} is not what the transport was written against. Review it as this file's first lines say, "
        f"then enter {found!r}."
    )


def test_a_changed_source_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ack(self: object, message: object) -> bool:
        return True

    monkeypatch.setattr(Consumer, "ack", ack)
    name = "faust.transport.consumer:Consumer.ack"
    assert digest(name) != REVIEWED[name]

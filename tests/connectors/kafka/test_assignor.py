"""What is noted with each member's share, and what a member makes of the share it is given."""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.assignor import PartitionAssignor

from connectors.kafka.app import create_app
from connectors.kafka.assignor import Assignor
from connectors.kafka.settings import KafkaSettings


def cluster(counts: Mapping[str, int]) -> Any:
    return SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])) if topic in counts else None)


def assignor(folder: Path) -> Assignor:
    made = create_app(KafkaSettings(bootstrap=("127.0.0.1:1",)), group="g", anchor=None, datadir=folder).assignor
    assert isinstance(made, Assignor)
    return made


def shared_out(
    leader: Any, members: Mapping[Any, Iterable[str]], counts: Mapping[str, int]
) -> list[ConsumerProtocolMemberAssignment]:
    """What each member is given, in order."""
    joins = {f"member {number}": each.metadata(set(topics)) for number, (each, topics) in enumerate(members.items())}
    shares = leader.assign(cluster(counts), joins)
    return [shares[member] for member in joins]


def held(share: ConsumerProtocolMemberAssignment) -> dict[str, list[int]]:
    return {topic: sorted(partitions) for topic, partitions in share.assignment}


def test_a_share_tells_what_it_was_made_for(tmp_path: Path) -> None:
    old, new = assignor(tmp_path / "old"), assignor(tmp_path / "new")
    assert old.made_for is None
    shares = shared_out(old, {old: ["shop"], new: ["shop", "swiss", "missing"]}, {"shop": 4, "swiss": 2})
    for member, share in zip((old, new), shares, strict=True):
        member.on_assignment(share)
    assert old.made_for == {"shop": 4}
    assert new.made_for == {"shop": 4, "swiss": 2, "missing": 0}


def test_it_is_shared_out_as_by_fausts_own(tmp_path: Path) -> None:
    """A group may have leaders and members of both kinds while a version is rolled out."""
    app = create_app(KafkaSettings(bootstrap=("127.0.0.1:1",)), group="g", anchor=None, datadir=tmp_path)
    stock, ours = PartitionAssignor(app, 1), Assignor(app, 1)
    by_stock, by_ours = (
        shared_out(leader, {stock: ["a", "b"], ours: ["a", "b"]}, {"a": 5, "b": 5}) for leader in (stock, ours)
    )
    assert [held(share) for share in by_ours] == [held(share) for share in by_stock]
    stock.on_assignment(by_ours[0])
    ours.on_assignment(by_ours[1])
    assert ours.made_for == {"a": 5, "b": 5}
    ours.on_assignment(by_stock[1])
    assert ours.made_for is None, "its maker noted nothing"


def test_who_comes_back_on_another_host_takes_what_it_had(tmp_path: Path) -> None:
    here = assignor(tmp_path)
    (share,) = shared_out(here, {here: ["a"]}, {"a": 2})
    said = json.loads(zlib.decompress(share.user_data)) | {"url": "http://elsewhere:6066"}
    share.user_data = zlib.compress(json.dumps(said).encode())
    here.on_assignment(share)
    assert {tp.partition for tp in here.assigned_actives()} == {0, 1}


def test_a_join_is_the_same_as_the_last_until_a_new_sharing_out_is_asked_for(tmp_path: Path) -> None:
    member = assignor(tmp_path)
    joins = [member.metadata({"b", "a"}).encode(), member.metadata({"a", "b"}).encode()]
    member.ask_anew()
    joins.append(member.metadata({"a", "b"}).encode())
    assert joins[0] == joins[1] != joins[2]

"""Partition state: what a stage remembers, as the keyed fold of one partition of a compacted topic, held in RocksDB.

    states = PartitionStates("comms.policy.state", settings, publisher, directory=data_dir / "state")
    await states.start()
    await states.open(3)                                     # at assignment: claims partition 3, restores it, serves it
    before = states.get(3, key)                              # what was acknowledged, nothing else
    await states.put(3, {key: value, gone: None}, source=(topic, 3, message.offset))
    if not lease.valid():                                    # another may own the partition since the put returned
        return                                               # so: no publish, no finish
    ...                                                      # publish what follows, then finish the input
    await states.close(3)                                    # at revoke: waits for puts under way, lets go
    await states.stop()

A put that returned is in the log, counts in every later fold, and is in the store. One that raised `PartitionTaken`
came too late: a new owner claimed the partition first, and no fold will ever see it. Any other error must end the
process: what was under way may or may not be in the log, and the next `open` finds out.

The lease is still asked after the put: a new owner may have claimed the partition right behind it.
"""

from .eviction import evict
from .partition import PartitionBroken, PartitionNotOpen, PartitionTaken
from .restore import Undecodable
from .states import PartitionStates

__all__ = [
    "PartitionBroken",
    "PartitionNotOpen",
    "PartitionStates",
    "PartitionTaken",
    "Undecodable",
    "evict",
]

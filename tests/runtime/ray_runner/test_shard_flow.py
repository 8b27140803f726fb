"""The way of shards through the stages of a group, kept in bits; without Ray."""

import tracemalloc

from runtime.ray_runner.pools.shard_flow import ShardFlow
from runtime.ray_runner.shard_set import ShardSet
from runtime.ray_runner.table_stage import WHOLE_TABLE


def take_all(flow: ShardFlow, stage: str) -> list[int]:
    taken = []
    while (shard := flow.take(stage)) is not None:
        taken.append(shard)
    return taken


def test_a_shard_is_ready_for_a_stage_once_the_earlier_ones_that_list_it_are_done() -> None:
    flow = ShardFlow({"media": [0, 1], "caption": [1, 2], "rewrite": [0, 1, 2]})
    assert (flow.ready("media"), flow.ready("caption"), flow.ready("rewrite")) == (2, 1, 0)
    assert take_all(flow, "media") == [0, 1]
    flow.finish("media", 1)
    flow.finish("media", 0)
    assert take_all(flow, "caption") == [1, 2]
    assert take_all(flow, "rewrite") == [0]
    flow.finish("caption", 2)
    assert flow.take("rewrite") == 2
    assert (flow.left("media"), flow.left("caption"), flow.left("rewrite")) == (0, 1, 3)


def test_a_shard_that_is_put_back_comes_before_all_others() -> None:
    flow = ShardFlow({"media": range(3)})
    assert (flow.take("media"), flow.take("media")) == (0, 1)
    flow.put_back("media", 0)
    assert (flow.in_hand("media"), flow.ready("media")) == (1, 2)
    assert take_all(flow, "media") == [0, 2]


def test_a_stage_has_the_row_of_a_table() -> None:
    flow = ShardFlow({"dedup": (WHOLE_TABLE,)})
    assert flow.take("dedup") == WHOLE_TABLE


def test_a_shard_takes_a_few_bytes_in_all_stages_together() -> None:
    shards = range(20_000)
    tracemalloc.start()
    flow = ShardFlow({"media": shards, "caption": shards, "rewrite": shards})
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 3 * len(shards)
    assert flow.ready("media") == len(shards)


def test_a_set_of_shards_notices_what_it_had_before() -> None:
    shards = ShardSet([WHOLE_TABLE, 9])
    assert [shards.add(shard) for shard in (9, 70_000, 70_000)] == [False, True, False]
    assert (len(shards), WHOLE_TABLE in shards, 9 in shards, 8 in shards, 10**6 in shards) == (
        3,
        True,
        True,
        False,
        False,
    )

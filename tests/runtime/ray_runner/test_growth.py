"""When pools grow and shrink, and how many deaths are too many; without Ray."""

from typing import Any

import pytest

from runtime.ray_runner.placement import MachineNode
from runtime.ray_runner.pools.growth import PoolState, members_to_add, pools_to_shrink
from runtime.ray_runner.pools.lost_process import DeathLog
from runtime.ray_runner.pools.service_pool import share
from runtime.ray_runner.reports import Heartbeat
from runtime.ray_runner.stage import PoolSettings

FOUR_CPUS = [MachineNode(cpus=4)]


def pool(name: str, members: int, *, starting: int = 0, wanted: int = 0, spare: bool = False, **pool: Any) -> PoolState:
    settings = PoolSettings(**{"max": 64, **pool})
    return PoolState(name, settings, settings.min, members, members - starting, wanted, spare)


def test_a_pool_grows_into_the_room_that_is_left_and_at_most_doubles() -> None:
    assert members_to_add([pool("media", 1, wanted=9)], FOUR_CPUS, can_ask=False) == {"media": 1}
    assert members_to_add([pool("media", 2, wanted=9)], FOUR_CPUS, can_ask=False) == {"media": 2}
    assert members_to_add([pool("media", 3, wanted=9)], FOUR_CPUS, can_ask=False) == {"media": 1}
    assert members_to_add([pool("media", 4, wanted=9)], FOUR_CPUS, can_ask=False) == {}


def test_a_pool_stays_at_its_maximum_and_without_work_as_it_is() -> None:
    assert members_to_add([pool("media", 2, wanted=9, max=2)], FOUR_CPUS, can_ask=True) == {}
    assert members_to_add([pool("media", 1)], FOUR_CPUS, can_ask=True) == {}


def test_the_stage_that_is_nearest_to_the_end_grows_first() -> None:
    states = [pool("media", 2, wanted=9), pool("rewrite", 1, wanted=9)]
    assert members_to_add(states, FOUR_CPUS, can_ask=False) == {"rewrite": 1}


def test_where_nodes_can_be_had_a_full_pool_asks_for_one_by_a_process_that_waits() -> None:
    assert members_to_add([pool("media", 4, wanted=9)], FOUR_CPUS, can_ask=True) == {"media": 4}
    waiting = pool("media", 8, starting=4, wanted=9)
    assert members_to_add([waiting], FOUR_CPUS, can_ask=True) == {}
    assert members_to_add([waiting, pool("llm", 1, wanted=1, cpus=0)], FOUR_CPUS, can_ask=False) == {"llm": 1}


def test_a_node_that_joins_is_room() -> None:
    state = pool("media", 4, wanted=9)
    assert members_to_add([state], [*FOUR_CPUS, MachineNode(cpus=2)], can_ask=False) == {"media": 2}


def test_nothing_grows_while_a_needed_process_lacks_room() -> None:
    states = [pool("asr", 1, starting=1, gpus=1), pool("media", 1, wanted=9)]
    assert members_to_add(states, FOUR_CPUS, can_ask=False) == {}
    assert members_to_add(states, [MachineNode(cpus=4, gpus=1)], can_ask=False) == {"media": 1}


def test_the_pool_with_most_beyond_its_minimum_makes_room_for_a_needed_process() -> None:
    states = [pool("asr", 1, starting=1), pool("media", 3), pool("rewrite", 1)]
    assert pools_to_shrink(states, FOUR_CPUS) == ["media"]
    assert pools_to_shrink(states, [MachineNode(cpus=5)]) == []
    assert pools_to_shrink([pool("asr", 1, starting=1), pool("media", 1)], [MachineNode(cpus=1)]) == []


def test_a_spare_process_is_given_up_but_not_the_last_that_is_needed() -> None:
    states = [pool("media", 2, spare=True), pool("asr", 1, spare=True)]
    assert pools_to_shrink(states, FOUR_CPUS) == ["media"]


def test_deaths_are_too_many_by_their_rate_and_not_by_their_number() -> None:
    slow, quick = DeathLog(), DeathLog()
    assert [slow.count(300.0 * i, was_ready=True) for i in range(20)] == [None] * 20
    assert [quick.count(100.0 * i, was_ready=True) for i in range(4)] == [None, None, None, 4]


def test_deaths_at_the_start_are_counted_until_one_succeeds_however_long_they_take() -> None:
    log = DeathLog()
    assert [log.count(1000.0 * i, was_ready=False) for i in range(4)] == [None, None, None, 4]
    log.note_ready()
    assert log.count(5000.0, was_ready=False) is None


def test_the_share_of_time_with_waiting_calls_is_between_two_heartbeats() -> None:
    beats = [Heartbeat("llm", "1", 10, 10, waiting=4), Heartbeat("llm", "1", 14, 10, waiting=6)]
    assert share(beats, "waiting") == pytest.approx(0.5)
    assert share(beats, "busy") == pytest.approx(1.0)
    assert share([beats[1], beats[1]], "busy") == 0

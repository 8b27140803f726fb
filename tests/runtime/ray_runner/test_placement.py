"""Placement: stages that fit stream, others take turns, and one that never fits is refused with its setting."""

from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from runtime.errors import UserError
from runtime.ray_runner.placement import MachineNode, place
from runtime.ray_runner.stage import PoolSettings, ServiceSpec, StageSpec
from runtime.ray_runner.table_stage import AnyStageSpec, TableStageSpec


def stage(name: str, services: Sequence[str] = (), **pool: Any) -> StageSpec:
    return StageSpec(name, _never_built, PoolSettings(**pool), [0], services)


def table_stage(name: str, **pool: Any) -> TableStageSpec:
    return TableStageSpec(name, _never_built, PoolSettings(**pool), ("media",), f"selections/{name}.parquet", [0])


def service(name: str, **pool: Any) -> ServiceSpec:
    return ServiceSpec(name, lambda: None, PoolSettings(**pool))


def _never_built(services: object) -> NoReturn:
    raise AssertionError("placement builds no worker")


def test_stages_stream_when_all_minimums_fit() -> None:
    placement = place([stage("media", cpus=2), stage("rewrite", cpus=2)], [], [MachineNode(cpus=4)])
    assert placement.streams
    assert [g.stages for g in placement.groups] == [("media", "rewrite")]
    assert "4 of 4 logical CPUs" in placement.why


def test_stages_take_turns_when_together_they_are_too_large() -> None:
    stages = [stage("media", ("asr",), cpus=1), stage("rewrite", ("llm",), cpus=0.5)]
    services = [service("asr", cpus=1), service("llm", cpus=1.5)]
    placement = place(stages, services, [MachineNode(cpus=2)])
    assert not placement.streams
    assert [(g.stages, g.services) for g in placement.groups] == [(("media",), ("asr",)), (("rewrite",), ("llm",))]
    assert "4 of 2 logical CPUs" in placement.why


def test_stages_take_turns_when_asked_though_all_would_fit() -> None:
    placement = place([stage("media"), stage("rewrite")], [], [MachineNode(cpus=8)], in_turn=True)
    assert not placement.streams
    assert "as asked" in placement.why


def test_taking_turns_can_be_forbidden() -> None:
    with pytest.raises(UserError, match=r"all stages together needs 4 logical CPUs, there are 2"):
        place([stage("media", cpus=2), stage("rewrite", cpus=2)], [], [MachineNode(cpus=2)], in_turn=False)


def test_a_stage_that_does_not_fit_alone_is_refused_with_its_largest_pool() -> None:
    with pytest.raises(UserError, match=r"resources\.llm\.gpus=2 .*stage 'rewrite'.* needs 2 GPUs, there are 1"):
        place([stage("rewrite", ("llm",))], [service("llm", gpus=2)], [MachineNode(cpus=8, gpus=1)])


def test_memory_counts_if_the_node_reports_it() -> None:
    with pytest.raises(UserError, match=r"resources\.media\.memory_gb=32"):
        place([stage("media", memory_gb=32)], [], [MachineNode(cpus=8, memory_gb=16)])
    assert place([stage("media", memory_gb=32)], [], [MachineNode(cpus=8)]).streams


def test_a_worker_is_not_split_over_nodes() -> None:
    with pytest.raises(UserError, match=r"resources\.llm: .* no node has room"):
        place([stage("rewrite", ("llm",))], [service("llm", gpus=2)], [MachineNode(8, gpus=1), MachineNode(8, gpus=1)])


def test_shares_of_a_gpu_are_not_put_together_from_two() -> None:
    services = [service("a", gpus=0.6), service("b", gpus=0.6), service("c", gpus=0.6)]
    one = [stage("media", ("a", "b", "c"), cpus=0)]
    with pytest.raises(UserError):
        place(one, services, [MachineNode(8, gpus=2)])
    assert place(one, services, [MachineNode(8, gpus=3)]).streams


def test_services_that_no_stage_names_are_left_out() -> None:
    placement = place([stage("media", ("asr",))], [service("asr"), service("llm", gpus=8)], [MachineNode(cpus=2)])
    assert placement.groups[0].services == ("asr",)


def test_services_grow_into_the_room_that_is_left_but_not_past_their_maximum() -> None:
    services = [service("llm", gpus=1, min=1, max=8), service("asr", gpus=1, min=1, max=2)]
    placement = place(
        [stage("rewrite", ("llm", "asr"), cpus=1)], services, [MachineNode(64, gpus=4), MachineNode(64, gpus=4)]
    )
    assert placement.groups[0].workers == {"llm": 6, "asr": 2}


def test_a_pool_shared_by_two_stages_is_counted_once() -> None:
    stages = [stage("caption", ("vlm",), cpus=1), stage("rewrite", ("vlm",), cpus=1)]
    assert place(stages, [service("vlm", cpus=2)], [MachineNode(cpus=4)]).streams


def test_a_table_stage_runs_alone_between_the_stages_around_it() -> None:
    dedup = table_stage("dedup", min=2, max=2)
    stages: list[AnyStageSpec] = [stage("media"), stage("caption"), dedup, stage("rewrite")]
    placement = place(stages, [], [MachineNode(cpus=2)])
    assert [g.stages for g in placement.groups] == [("media", "caption"), ("dedup",), ("rewrite",)]
    assert placement.streams
    assert placement.why.endswith("2 of 2 logical CPUs); dedup reads all shards at once")


def test_a_table_stage_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"resources\.dedup\.cpus=4 .*'dedup' with its services needs 4 logical CPUs"):
        place([stage("media"), table_stage("dedup", cpus=4)], [], [MachineNode(cpus=2)])

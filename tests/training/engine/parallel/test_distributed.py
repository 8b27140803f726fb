"""Ranks: read from the environment, placed on a device, and exchanging values between two real processes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from support.ranks import on_ranks

from runtime.errors import MachineError, UserError
from training.engine.parallel import distributed
from training.engine.parallel.distributed import (
    Ranks,
    any_rank,
    barrier,
    gather_objects,
    gather_plain,
    gather_rows,
    init_ranks,
    mean_over,
    sum_over,
)

SetEnvironment = Callable[[Mapping[str, str]], None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    """Return a function that sets the given variables of torchrun and removes its others."""

    def set_to(values: Mapping[str, str]) -> None:
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_to


def gather_and_differentiate(ranks: Ranks) -> dict[str, torch.Tensor]:
    """Both ranks weigh all rows; the loss is the sum of their terms."""
    x_BD = torch.arange(6.0).view(2, 3) + 10 * ranks.rank
    x_BD.requires_grad_()
    rows = gather_rows(x_BD * 2, ranks)
    weights = torch.arange(12.0).view(4, 3) * (ranks.rank + 1)
    (rows * weights).sum().backward()
    return {"rows": rows.detach(), "gradient": x_BD.grad}


def test_gathered_rows_get_the_gradients_of_every_rank(tmp_path: Path) -> None:
    results = on_ranks(2, gather_and_differentiate, tmp_path)
    own = torch.arange(6.0).view(2, 3)
    wanted = 2 * 3 * torch.arange(12.0).view(4, 3)  # 2 from the tower, 1 + 2 from the ranks' weights
    for rank, result in enumerate(results):
        torch.testing.assert_close(result["rows"], torch.cat([own * 2, (own + 10) * 2]))
        torch.testing.assert_close(result["gradient"], wanted[2 * rank : 2 * rank + 2])


def exchange(ranks: Ranks) -> dict:
    barrier(ranks)
    number = torch.tensor(2.0 + ranks.rank)
    return {
        "types": {str(t): gather_plain(torch.tensor([ranks.rank, 1]).to(t), ranks) for t in TYPES},
        "objects": gather_objects({"rank": ranks.rank}, ranks),
        "sum": float(sum_over(number, ranks)),
        "mean": float(mean_over(number, ranks)),
        "unchanged": float(number),
        "any": any_rank(ranks.rank == 1, ranks),
        "none": any_rank(False, ranks),
        "why": ranks.why,
    }


TYPES = (torch.bool, torch.int64, torch.float32, torch.float64)


def test_ranks_exchange_values_of_every_type(tmp_path: Path) -> None:
    for rank, found in enumerate(on_ranks(2, exchange, tmp_path)):
        for dtype in TYPES:
            torch.testing.assert_close(found["types"][str(dtype)], torch.tensor([0, 1, 1, 1]).to(dtype))
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert (found["sum"], found["mean"], found["unchanged"]) == (5.0, 2.5, 2.0 + rank)
        assert (found["any"], found["none"]) == (True, False)
        assert found["why"] == f"cpu: asked for, rank {rank} of 2"


def test_one_process_needs_no_group(environment: SetEnvironment) -> None:
    environment({})
    ranks = init_ranks("cpu")
    x_BD = torch.ones(2, 3, requires_grad=True)
    assert (ranks.rank, ranks.world_size, ranks.is_main, ranks.device) == (0, 1, True, torch.device("cpu"))
    assert gather_rows(x_BD, ranks) is x_BD
    assert gather_objects("a", ranks) == ["a"]
    assert any_rank(True, ranks)
    assert not torch.distributed.is_initialized()


def test_the_device_says_why_it_was_chosen(environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    environment({})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert init_ranks().why == "cpu: PyTorch finds no CUDA device"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "LOCAL_RANK=\\(unset\\)"),
        ({"RANK": "0", "WORLD_SIZE": "two", "LOCAL_RANK": "0"}, "WORLD_SIZE=two"),
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=2 WORLD_SIZE=2"),
    ],
)
def test_an_environment_that_is_incomplete_is_refused(environment: SetEnvironment, values: dict, named: str) -> None:
    environment(values)
    with pytest.raises(UserError, match=named):
        init_ranks("cpu")


@pytest.mark.parametrize("asked", ["gpu", "meta", "cuda:7"])
def test_a_device_that_does_not_exist_is_refused(environment: SetEnvironment, asked: str) -> None:
    environment({})
    with pytest.raises(UserError, match=f"device={asked}"):
        init_ranks(asked)


def test_more_ranks_than_gpus_are_refused(environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    environment({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="GPU 1 is wanted"):
        init_ranks()
    with pytest.raises(UserError, match="write device=cuda"):
        init_ranks("cuda:0")


def test_ranks_that_cannot_be_reached_are_a_fault_of_the_machine(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"})
    with pytest.raises(MachineError, match=r"MASTER_PORT=127.0.0.1:\(unset\)"):
        distributed.init_ranks("cpu")

"""The ranks of a run: the number of this process, its device, and the exchanges between ranks.

`init_ranks` reads the variables that torchrun (or Ray Train) sets. Every exchange also works with one process, at no
cost, so callers never ask how many there are. All exchanges are collective: each rank calls them, in the same order.

Shapes: B rows of this rank, W ranks, D features; `...` any further dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from runtime.errors import MachineError, UserError, one_line
from runtime.retry_limits import RANKS_SECONDS

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """One process of a run, and its number among them."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Its number on this machine."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    why: str = "one process on the processor"
    """The device and why it was chosen, for the log's header."""

    @property
    def is_main(self) -> bool:
        """True on the rank that writes and prints."""
        return self.rank == 0


def init_ranks(device: str | None = None) -> Ranks:
    """Read the number of this rank, choose its device, and connect to the other ranks if there are any.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; None takes CUDA if it can be used.

    Raises:
        UserError: the environment is incomplete, or the requested device does not exist.
        MachineError: the other ranks can't be reached.
    """
    rank, world_size, local_rank = _from_environment(os.environ)
    chosen, why = choose_device(device, local_rank, world_size)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size > 1 and not dist.is_initialized():  # Ray Train has connected its workers
        _connect(chosen)
        why += f", rank {rank} of {world_size}"
    return Ranks(rank, world_size, local_rank, chosen, why)


def choose_device(asked: str | None, local_rank: int, world_size: int) -> tuple[torch.device, str]:
    """Return the device of this rank and a phrase that says why.

    Args:
        asked: ``cpu``, ``cuda`` or ``cuda:N``; None: CUDA if it can be used.
        local_rank: number of this process on its machine; the number of its GPU unless `asked` names one.
        world_size: processes of the run.

    Raises:
        UserError: another name, or a GPU that this machine does not have.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked is None and count == 0:
        return torch.device("cpu"), "cpu: PyTorch finds no CUDA device"
    reason = "found" if asked is None else "asked for"
    device = _parse(asked or "cuda")
    if device.type == "cpu":
        return device, f"cpu: {reason}"
    numbered = asked is not None and ":" in asked
    if numbered and world_size > 1:
        raise UserError(f"device={asked}: with several ranks each takes the GPU of its local rank; write device=cuda")
    index = device.index if numbered else local_rank
    if index >= count:
        raise UserError(
            f"device={asked or 'cuda'}: GPU {index} is wanted (LOCAL_RANK={local_rank}) and this machine has {count}; "
            "start at most that many ranks a machine, or take device=cpu"
        )
    return torch.device("cuda", index), f"cuda:{index} ({torch.cuda.get_device_name(index)}): {reason}"


def to_device(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move a tensor to `device`, without waiting if its memory is pinned."""
    return value.to(device, non_blocking=True)


def close_ranks(ranks: Ranks) -> None:
    """Leave the process group, if there is one."""
    if ranks.world_size > 1 and dist.is_initialized():
        dist.destroy_process_group()


def gather_rows(x_BD: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Return the rows of all ranks, [W·B, D], in the order of ranks; B is equal on all of them.

    Differentiable: a row's gradient is the sum of the gradients that all ranks computed for it. If each rank
    differentiates its share of a loss and the shares add up to the whole, it is the gradient of the whole loss.
    """
    if ranks.world_size == 1:
        return x_BD
    gathered: torch.Tensor = _GatherRows.apply(x_BD, ranks)
    return gathered


def gather_plain(x: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Return the rows of all ranks, [W·B, ...], of any type and without gradients; B is equal on all of them."""
    x = x.detach()
    if ranks.world_size == 1:
        return x
    gathered = x.new_empty((ranks.world_size * x.shape[0], *x.shape[1:]))
    dist.all_gather(list(gathered.chunk(ranks.world_size)), x.contiguous())
    return gathered


def sum_over(x: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Return the sum of `x` over all ranks, without gradients; `x` is not changed."""
    total = x.detach().clone()
    if ranks.world_size > 1:
        dist.all_reduce(total)
    return total


def mean_over(x: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Return the mean of a floating point `x` over all ranks, without gradients."""
    return sum_over(x, ranks) / ranks.world_size


def gather_objects(value: T, ranks: Ranks) -> list[T]:
    """Return the values of all ranks, in their order. They are pickled: only for small values of trusted code."""
    if ranks.world_size == 1:
        return [value]
    values: list[Any] = [None] * ranks.world_size
    dist.all_gather_object(values, value)
    return values


def barrier(ranks: Ranks) -> None:
    """Wait until every rank is here."""
    if ranks.world_size > 1:
        dist.barrier()


def any_rank(flag: bool, ranks: Ranks) -> bool:
    """Return True if `flag` is true on any rank; every rank gets the same answer."""
    if ranks.world_size == 1:
        return flag
    raised = torch.tensor(int(flag), device=ranks.device)
    dist.all_reduce(raised, op=dist.ReduceOp.MAX)
    return bool(raised.item())


class _GatherRows(torch.autograd.Function):
    """All-gather whose backward is a reduce-scatter on every backend; `torch.distributed.nn` keeps W copies on gloo."""

    @staticmethod
    def forward(ctx: Any, x_BD: torch.Tensor, ranks: Ranks) -> torch.Tensor:
        ctx.ranks = ranks
        return gather_plain(x_BD, ranks)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        parts = list(gradients[0].contiguous().chunk(ctx.ranks.world_size))
        own_BD = torch.empty_like(parts[0])
        dist.reduce_scatter(own_BD, parts)
        return own_BD, None


def _from_environment(environment: Mapping[str, str]) -> tuple[int, int, int]:
    """Return rank, world size and local rank; (0, 1, 0) if the environment names none."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    given = {name: environment[name] for name in names if name in environment}
    if "WORLD_SIZE" not in given and "RANK" not in given:
        return 0, 1, 0
    try:
        rank, world_size, local_rank = (int(given[name]) for name in names)
    except (KeyError, ValueError):
        shown = " ".join(f"{name}={given.get(name, '(unset)')}" for name in names)
        raise UserError(f"{shown}: all three must be numbers; start the ranks with torchrun, or unset them") from None
    if not 0 <= rank < world_size:
        raise UserError(f"RANK={rank} WORLD_SIZE={world_size}: the rank must be between 0 and the world size less 1")
    return rank, world_size, local_rank


def _parse(asked: str) -> torch.device:
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise UserError(f"device={asked}: must be cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device={asked}: must be cpu, cuda or cuda:N")
    return device


def _connect(device: torch.device) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    bound = device if device.type == "cuda" else None
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=RANKS_SECONDS.seconds), device_id=bound)
    except (ValueError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR', '(unset)')}:{os.environ.get('MASTER_PORT', '(unset)')}"
        text = one_line(error, keep="first")
        raise MachineError(f"the other ranks can't be reached at MASTER_ADDR:MASTER_PORT={where}: {text}") from error

"""Fully sharded data parallelism (FSDP2): each rank keeps a part of every weight, gradient and moment.

It is applied from outside, block by block: a block's weights are gathered when it runs and freed afterwards, so a GPU
holds one block in whole at a time. `shard` suits modules whose children are called as modules, such as two towers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from training.engine.parallel.distributed import Ranks


def shard(module: nn.Module, ranks: Ranks, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Shard the children of `module` over the ranks, in place, each with its blocks; itself if there is one rank.

    Gradients are averaged over the ranks in float32, as those of DistributedDataParallel.

    Args:
        module: on this rank's device, with the same weights on every rank.
        ranks: the processes that take part.
        dtype: type that weights are gathered in; the shards stay float32. Inputs keep their type: autocast decides.
    """
    if ranks.world_size == 1:
        return module
    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
    low = None if dtype == torch.float32 else dtype
    policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for child in module.children():
        for part in (*blocks(child), child):
            fully_shard(part, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    return module


def blocks(module: nn.Module) -> list[nn.Module]:
    """Return the repeated blocks of a module: the members of its outermost lists of several modules of one type."""
    if isinstance(module, nn.ModuleList | nn.Sequential) and _alike(module):
        return list(module.children())
    return [block for child in module.children() for block in blocks(child)]


@contextmanager
def unsharded(module: nn.Module) -> Iterator[None]:
    """Hold all weights of `module` in whole on each rank for the block, for passes that ranks make unequally often.

    Collective; without effect on modules that are not sharded.
    """
    parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)


def _alike(module: nn.Module) -> bool:
    """Return True if a list has several members of one type with weights."""
    members = list(module.children())
    return (
        len(members) > 1
        and len({type(member) for member in members}) == 1
        and any(True for _ in members[0].parameters())
    )

"""Runs a function in several real processes that meet over gloo, and brings back what each returned.

The processes are forked from a server that has PyTorch imported: seconds are saved in each.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from training.engine.distributed import Ranks, close_ranks, init_ranks

Work = Callable[..., Any]


def on_ranks(world_size: int, work: Work, folder: Path, *args: Any) -> list[Any]:
    """`work(ranks, *args)` on `world_size` processes; its results (tensors, plain values) in the order of ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.set_forkserver_preload(["torch._dynamo", "training.vidla.loss", "training.vidla.model"])
    arguments = (world_size, port, work, folder, args)
    mp.start_processes(_run, args=arguments, nprocs=world_size, start_method="forkserver")
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(world_size)]


def _run(rank: int, world_size: int, port: int, work: Work, folder: Path, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world_size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks: Ranks = init_ranks("cpu")
    torch.save(work(ranks, *args), folder / f"rank-{rank}.pt")
    close_ranks(ranks)

"""Run functions in real processes: ranks that connect over gloo, and commands that are killed at a step.

The processes are forked from a server that has imported the trainers, which saves a dozen seconds in each. The test
process holds the port at which ranks connect, so that no other program can take it.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch.distributed import TCPStore

from training.engine.metrics.run_metrics import MetricsWriter
from training.engine.parallel.distributed import Ranks, close_ranks, init_ranks

Work = Callable[..., Any]
Command = Callable[[Sequence[str]], int]

PRELOADED = [
    "torch._dynamo",
    "training.vidla.pretraining_run",
    "training.vidlankd.vidlankd_runs",
    "training.models.vidlankd.teacher_model",
]


def start_fork_server() -> None:
    """Start the fork server with slow imports done; a server that runs already is left as it is."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def on_ranks(world_size: int, work: Work, folder: Path, *args: Any) -> list[Any]:
    """Run `work(ranks, *args)` on `world_size` processes; return its results (tensors, plain values) by rank."""
    in_ranks(world_size, _connected, work, folder, args)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(world_size)]


def in_ranks(world_size: int, work: Work, *args: Any) -> None:
    """Run `work(*args)` on processes with the environment of torchrun; `work` connects them if it needs to."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    arguments = (world_size, store.port, work, args)
    mp.start_processes(_as_rank, args=arguments, nprocs=world_size, start_method="forkserver")


def stop_at(step: int, main: Command, given: Sequence[str]) -> int:
    """Run a command that gets SIGTERM when `step` is logged; return its exit status."""
    return _with_signal(signal.SIGTERM, step, main, given)


def killed_at(step: int, main: Command, given: Sequence[str]) -> None:
    """Run a command in a process of its own, which is killed when it has logged `step`."""
    arguments = (signal.SIGKILL, step, main, given)
    process = multiprocessing.get_context("forkserver").Process(target=_with_signal, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"it ended by itself, with {process.exitcode}"


def _as_rank(rank: int, world_size: int, port: int, work: Work, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world_size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    work(*args)


def _connected(work: Work, folder: Path, args: tuple[Any, ...]) -> None:
    ranks: Ranks = init_ranks("cpu")
    torch.save(work(ranks, *args), folder / f"rank-{ranks.rank}.pt")
    close_ranks(ranks)


def _with_signal(number: signal.Signals, at: int, main: Command, given: Sequence[str]) -> int:
    """Run a command whose process sends itself a signal after logging step `at`, on every rank."""
    write = MetricsWriter.write

    def write_and_signal(self: MetricsWriter, step: int, *args: Any, **kwargs: Any) -> None:
        write(self, step, *args, **kwargs)
        if step == at:
            os.kill(os.getpid(), number)

    MetricsWriter.write = write_and_signal  # type: ignore[method-assign]
    try:
        return main(given)
    finally:
        MetricsWriter.write = write  # type: ignore[method-assign]

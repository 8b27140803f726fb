"""Runs functions in real processes: ranks that meet over gloo, and commands that are killed at a step.

The processes are forked from a server that has the trainers imported: a dozen seconds are saved in each. Where ranks
meet is held open by the process of the tests, so that no other program can be given the port in between.
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

from training.engine.distributed import Ranks, close_ranks, init_ranks
from training.engine.run_metrics import MetricsWriter

Work = Callable[..., Any]
Command = Callable[[Sequence[str]], int]

PRELOADED = [
    "torch._dynamo",
    "training.vidla.pretraining_run",
    "training.vidlankd.vidlankd_runs",
    "training.models.vidlankd.teacher_model",
]


def start_fork_server() -> None:
    """Start it with all that is slow to import; of one that runs already, nothing changes."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def on_ranks(world_size: int, work: Work, folder: Path, *args: Any) -> list[Any]:
    """`work(ranks, *args)` on `world_size` processes; its results (tensors, plain values) in the order of ranks."""
    in_ranks(world_size, _met, work, folder, args)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(world_size)]


def in_ranks(world_size: int, work: Work, *args: Any) -> None:
    """`work(*args)` on processes with the environment that torchrun gives; whether they meet is left to `work`."""
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    arguments = (world_size, meeting.port, work, args)
    mp.start_processes(_as_rank, args=arguments, nprocs=world_size, start_method="forkserver")


def stop_at(step: int, main: Command, given: Sequence[str]) -> int:
    """Run a command here that gets SIGTERM when `step` is logged; its exit status."""
    return _with_signal(signal.SIGTERM, step, main, given)


def killed_at(step: int, main: Command, given: Sequence[str]) -> None:
    """Run a command in a process of its own that is killed outright when it has logged `step`."""
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


def _met(work: Work, folder: Path, args: tuple[Any, ...]) -> None:
    ranks: Ranks = init_ranks("cpu")
    torch.save(work(ranks, *args), folder / f"rank-{ranks.rank}.pt")
    close_ranks(ranks)


def _with_signal(number: signal.Signals, at: int, main: Command, given: Sequence[str]) -> int:
    """Run a command whose process sends itself a signal right after the step `at` is logged, on every rank."""
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

"""How every training run begins and ends: ranks meet, the head of the log is printed, the loop runs, ranks part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from runtime.errors import UserError
from training.engine.distributed import Ranks, close_ranks, init_ranks
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.engine.training_loop import TrainingRun, train
from training.engine.training_task import Batches, TrainingTask


class RunSettings(Protocol):
    """What the settings of every run have, whatever is trained."""

    @property
    def optim(self) -> OptimSettings:
        """Optimizer and learning rate."""
        ...

    @property
    def loop(self) -> LoopSettings:
        """Length, batch, seed, intervals."""
        ...

    @property
    def compute(self) -> ComputeSettings:
        """Device and arithmetic."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """All of them as plain values."""
        ...


@dataclass(frozen=True)
class Start:
    """All that a run begins with."""

    settings: RunSettings
    output: Path
    ranks: Ranks
    task: TrainingTask
    batches: Batches
    head: Mapping[str, str]
    """Lines for the head of the log, by their first word: what is trained, on what."""


def prepare(settings: RunSettings, output: Path) -> Ranks:
    """Meet the other ranks; seed and threads of this process.

    Raises:
        UserError: the run's folder can't be written.
    """
    ranks = init_ranks(settings.compute.device)
    if ranks.is_main:
        _check_writable(output)
    torch.manual_seed(settings.loop.seed)  # the same on all ranks: new parameters are drawn from it
    if settings.compute.threads:
        torch.set_num_threads(settings.compute.threads)
    return ranks


def begin(start: Start, resume: str) -> int:
    """Say what is about to happen, run the loop, and part from the other ranks; the exit status.

    After an error the ranks don't part: it may be of one alone, and to wait for the others would keep its message back.
    """
    if start.ranks.is_main:
        print(header(start), flush=True)
    settings, ranks = start.settings, start.ranks
    draw_apart(settings.loop.seed, ranks)
    values = settings.model_dump(mode="json")
    run = TrainingRun(start.task, start.batches, settings.optim, settings.loop, ranks, start.output, values)
    status = train(run, resume)
    close_ranks(ranks)
    return status


def draw_apart(seed: int, ranks: Ranks) -> None:
    """Let each rank draw dropout of its own from here on; until here all drew alike, to build the same model."""
    if ranks.rank:
        torch.manual_seed(int(np.random.SeedSequence([seed, ranks.rank]).generate_state(1, np.uint64)[0]))


def header(start: Start) -> str:
    """What a reader wants to know before the first log line."""
    loop, a_epoch = start.settings.loop, start.batches.steps_per_epoch
    size = f"{loop.total_steps(a_epoch)} steps of {loop.batch_size} {start.task.unit}, {a_epoch} an epoch"
    lines = {"device": start.ranks.why, **start.head, "run": f"{size} -> {start.output}"}
    return "\n".join(f"{name:8}{text}" for name, text in lines.items())


def _check_writable(output: Path) -> None:
    """Find out before hours of work."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"--output {output}: can't be written ({error.strerror}); name another folder") from None

"""The begin and the end of every training run: ranks connect, the header is printed, the loop runs, ranks part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from training.engine.checkpoints.run_folder import check_writable
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings, TrackingSettings
from training.engine.metrics.tracker import check_tracking
from training.engine.parallel.distributed import Ranks, close_ranks, init_ranks
from training.engine.training_loop import TrainingRun, train
from training.engine.training_task import Batches, TrainingTask


class RunSettings(Protocol):
    """The branches that the settings of every run have, whatever is trained."""

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

    @property
    def tracking(self) -> TrackingSettings:
        """Service that shows the metrics."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return all settings as plain values."""
        ...


@dataclass(frozen=True)
class PreparedRun:
    """Everything that a run starts from."""

    settings: RunSettings
    output: Path
    ranks: Ranks
    task: TrainingTask
    batches: Batches
    header: Mapping[str, str]
    """Lines for the log's header, by their first word: the model and the data."""
    scored_on: str = ""
    """Data that the best model is chosen on, in words."""


def prepare_ranks(settings: RunSettings, output: Path) -> Ranks:
    """Connect to the other ranks; set the seed and the threads of this process.

    Raises:
        UserError: the run's folder can't be written, or the package of a service is missing.
    """
    check_tracking(settings.tracking)
    ranks = init_ranks(settings.compute.device)
    if ranks.is_main:
        check_writable(output)
    torch.manual_seed(settings.loop.seed)  # the same on all ranks: new parameters are drawn from it
    if settings.compute.threads:
        torch.set_num_threads(settings.compute.threads)
    return ranks


def run_loop(prepared: PreparedRun, resume: str) -> int:
    """Print the header, run the loop, and part from the other ranks; return the exit status.

    After an error the ranks don't part: it may be an error of one rank alone, and waiting for the others would hold
    its message back.
    """
    if prepared.ranks.is_main:
        print(run_header(prepared), flush=True)
    settings, ranks = prepared.settings, prepared.ranks
    seed_dropout(settings.loop.seed, ranks)
    values = settings.model_dump(mode="json")
    run = TrainingRun(
        prepared.task,
        prepared.batches,
        settings.optim,
        settings.loop,
        ranks,
        prepared.output,
        settings=values,
        scored_on=prepared.scored_on,
        tracking=settings.tracking,
        profile=settings.compute.profile,
    )
    status = train(run, resume)
    close_ranks(ranks)
    return status


def seed_dropout(seed: int, ranks: Ranks) -> None:
    """Seed each rank differently, for its dropout; before, all ranks drew the same numbers to build the same model."""
    if ranks.rank:
        torch.manual_seed(int(np.random.SeedSequence([seed, ranks.rank]).generate_state(1, np.uint64)[0]))


def run_header(prepared: PreparedRun) -> str:
    """Return the lines that precede the first log line: device, model, data and length of the run."""
    loop, per_epoch = prepared.settings.loop, prepared.batches.steps_per_epoch
    steps, unit = loop.total_steps(per_epoch), prepared.task.unit
    size = f"{steps} steps of {loop.batch_size} {unit} = {steps * loop.batch_size} {unit}, {per_epoch} steps an epoch"
    lines = {"device": prepared.ranks.why, **prepared.header, "run": f"{size} -> {prepared.output}"}
    return "\n".join(f"{name:8}{text}" for name, text in lines.items())

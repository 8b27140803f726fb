"""A toy run on Ray Train's workers: each computes the whole batch, so any number of ranks gives equal losses."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.toy_training import ToyBatches, toy_run

from training.engine.parallel.distributed import close_ranks, init_ranks
from training.engine.training_loop import train

STEPS = 10


def toy_on_rank(folder: Path, killed_at: int | None, resume: str) -> int:
    """Run on one rank; rank 1 kills itself once, before step number `killed_at`."""
    ranks, batches = init_ranks("cpu"), ToyBatches()

    def maybe_end(step: int) -> None:
        done = folder / f"killed-{step}"
        if step == killed_at and ranks.rank == 1 and not done.exists():
            done.write_text(str(ranks.world_size))
            os.kill(os.getpid(), signal.SIGKILL)

    batches.on_step = maybe_end
    run = toy_run(folder, batches, steps=STEPS)
    run.ranks = ranks
    status = train(run, resume)
    (folder / f"ranks-{ranks.rank}").write_text(str(ranks.world_size))
    close_ranks(ranks)
    return status

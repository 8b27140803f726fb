"""Puts a run of ``train-vidla`` together: settings in; model, data, loss and loop joined; exit status out.

Reads top to bottom as what happens: ranks meet, the model is built, the data is opened, the head of the log is
printed, the loop runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from runtime.errors import UserError
from training.data.loader import TrainBatches
from training.data.records import Source
from training.data.shard_source import ShardSource
from training.engine.distributed import Ranks, close_ranks, init_ranks
from training.engine.loop import Run, train
from training.engine.task import Task
from training.evaluation.held_out import HeldOut
from training.vidla.init import build_model
from training.vidla.model import VidLA
from training.vidla.settings import VidlaSettings
from training.vidla.task import VidlaTask


def run(settings: VidlaSettings, output: Path, resume: str) -> int:
    """Train as `settings` say.

    Args:
        settings: the whole tree.
        output: the run's folder.
        resume: see `training.engine.loop.train`.

    Returns:
        Exit status.

    Raises:
        UserError: anything that does not fit, before the first step.
        NonFiniteLoss: in the middle.
    """
    ranks = prepare(settings, output)
    model = build_model(settings.model)
    source = open_source(settings)
    batches = open_batches(settings, source, model, ranks)
    held_out = HeldOut.of(settings.data, settings.loss, settings.evaluation, settings.model.frames, ranks)
    task = VidlaTask(model, settings.loss, settings.compute, ranks, held_out.score if held_out else None)
    scored = f"{len(held_out)} clips held out" if held_out else "nothing held out: no scores while training"
    data = f"{source.num_roots} roots of {' '.join(settings.data.shards)}; {scored}"
    return finished(begin(Start(settings, output, ranks, task, batches, data), resume), ranks)


class HeadedTask(Task, Protocol):
    """A task that can be described before it starts."""

    def header(self) -> str:
        """One line on what is trained."""
        ...


@dataclass(frozen=True)
class Start:
    """All that a run begins with."""

    settings: VidlaSettings
    output: Path
    ranks: Ranks
    task: HeadedTask
    batches: TrainBatches
    data: str
    """What is trained on and what is scored, for the head of the log."""


def prepare(settings: VidlaSettings, output: Path) -> Ranks:
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


def finished(status: int, ranks: Ranks) -> int:
    """Part from the other ranks, on the way that all take together; the exit status.

    Not after an error: it may be of one rank alone, and to wait for the others would keep its message back.
    """
    close_ranks(ranks)
    return status


def open_source(settings: VidlaSettings) -> Source:
    """The training split of what `settings.data` names."""
    if not settings.data.shards:
        raise UserError("--shards: name at least one folder that `curate run` wrote")
    terms = {term: settings.loss.columns(term) for term in settings.loss.terms}
    if settings.data.source == "webdataset":
        from training.data.webdataset_source import WebdatasetSource

        return WebdatasetSource(settings.data, terms, settings.loop.seed)
    return ShardSource(settings.data, terms, settings.loop.seed, "train")


def open_batches(settings: VidlaSettings, source: Source, model: VidLA, ranks: Ranks) -> TrainBatches:
    """Batches of this rank, in the order of the source."""
    return TrainBatches(
        source,
        global_batch=settings.loop.batch_size,
        clips_per_root=settings.data.clips_per_root,
        ranks=ranks,
        tokenizer=model.tokenizer,
        frames=settings.model.frames,
        settings=settings.data,
        pin=ranks.device.type == "cuda",
    )


def begin(start: Start, resume: str) -> int:
    """Say what is about to happen, and run the loop."""
    if start.ranks.is_main:
        print(header(start), flush=True)
    settings = start.settings
    values = settings.model_dump(mode="json")
    run = Run(start.task, start.batches, settings.optim, settings.loop, start.ranks, start.output, values)
    return train(run, resume)


def header(start: Start) -> str:
    """What a reader wants to know before the first log line."""
    settings, batches = start.settings, start.batches
    loop = settings.loop
    steps = loop.total_steps(batches.steps_per_epoch)
    lines = {
        "device": start.ranks.why,
        "model": f"{settings.model.init}: {start.task.header()}, {settings.model.frames} frames",
        "data": start.data,
        "run": f"{steps} steps of {loop.batch_size} clips, {batches.steps_per_epoch} an epoch -> {start.output}",
    }
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

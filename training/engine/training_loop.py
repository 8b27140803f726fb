"""The training loop, top to bottom: resume, step, log, evaluate, save, stop.

The loop knows optimizers, checkpoints, ranks and clocks, and no model: a `TrainingTask` turns a batch into gradients,
and `Batches` come in an order with positions that a resumed run returns to. Every rank runs the loop; rank 0 writes.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch
import yaml

from runtime.errors import UserError
from runtime.file_lock import exclusive_lock
from runtime.log import get_logger
from training.engine.checkpoints.checkpoint import CheckpointSaver, drop_after, restore, save_model
from training.engine.checkpoints.run_folder import (
    AVERAGE,
    BEST,
    LOCK,
    SETTINGS,
    CheckpointRecord,
    RunIdentity,
    best_score,
    check_same_run,
    checkpoint_to_resume,
    newest_checkpoint,
    read_record,
)
from training.engine.engine_settings import LoopSettings, OptimSettings, TrackingSettings
from training.engine.metrics.run_metrics import MetricsWriter, StepMetrics, ThroughputMeter, is_recorded, peak_flops
from training.engine.metrics.step_profiler import StepProfiler
from training.engine.metrics.tracker import Tracker, open_tracker
from training.engine.optimizer import build_optimizer, learning_rate, set_learning_rate
from training.engine.parallel.clip_gradients import clip_gradients
from training.engine.parallel.distributed import Ranks, any_rank, gather_objects, sum_over
from training.engine.random_state import random_state, set_random_state
from training.engine.run_stops import FiniteGuard, SkipGuard, StopSignal
from training.engine.training_task import Batches, NonFiniteLoss, StepReport, TrainingTask
from training.engine.weight_average import WeightAverage

STOPPED: Final = 143
"""Exit status of a run that a signal ended after it had saved: 128 + SIGTERM, as schedulers expect."""

_log = get_logger(__name__)


@dataclass
class TrainingRun:
    """One training run on one rank."""

    task: TrainingTask
    batches: Batches
    optim: OptimSettings
    loop: LoopSettings
    ranks: Ranks
    folder: Path
    settings: Mapping[str, Any]
    """All settings as plain values: written beside the checkpoints and into each."""
    scored_on: str = ""
    """Data that the best model is chosen on, in words; kept with its scores."""
    best_score: float | None = None
    """The best held-out score so far."""
    profile: int = 0
    """Steps to trace."""
    average: WeightAverage | None = None
    """Averages of the weights; set when the run starts, if its settings ask for them."""
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    """Service that shows the metrics."""
    stop: StopSignal = field(default_factory=StopSignal)


def train(run: TrainingRun, resume: str = "never") -> int:
    """Train to the end, or until a signal asks to stop.

    Args:
        run: task, data, settings and folder.
        resume: ``never``, ``auto`` (the newest whole checkpoint of the run's folder, if there is one), or the folder
            of a checkpoint.

    Returns:
        Exit status: 0, or `STOPPED`.

    Raises:
        UserError: the checkpoint does not fit, another run holds the folder, or too much of the data can't be used.
        MachineError: a checkpoint can't be written or read.
        NonFiniteLoss: a loss or gradient was infinite or not a number more often than `loop.max_not_finite` allows;
            carries the keys of the batch.
    """
    if not run.ranks.is_main:
        return _train(run, resume)
    run.folder.mkdir(parents=True, exist_ok=True)
    taken = f"--output {run.folder}: another run is writing there; wait until it ends, or name another folder"
    with exclusive_lock(run.folder / LOCK, taken):
        return _train(run, resume)


def _train(run: TrainingRun, resume: str) -> int:
    optimizer = build_optimizer(run.task.module, run.optim, run.task.is_new)
    total = run.loop.total_steps(run.batches.steps_per_epoch)
    done = _resume(run, optimizer, resume)
    _start_average(run, optimizer, done)
    _check_same_step(run, done, resume)
    owes_scores = _owes_scores(run, done, total)
    if done >= total:
        _log.warning("nothing to do: the checkpoint has %d of %d steps", done, total)
        if not owes_scores:
            return 0
    if run.ranks.is_main:
        drop_after(run.folder, done)
        run.folder.mkdir(parents=True, exist_ok=True)
        (run.folder / SETTINGS).write_text(yaml.safe_dump(dict(run.settings), sort_keys=False), encoding="utf-8")
    with (
        run.stop.listening(),
        MetricsWriter(run.folder, done, run.ranks.is_main, _tracker(run)) as writer,
        CheckpointSaver(run.folder, run.ranks, run.loop.keep) as saver,
        StepProfiler(run.folder, run.profile, run.ranks) as profiler,
    ):
        if owes_scores:
            _evaluate(run, done, writer)
        status = _run_steps(run, optimizer, done, total, writer, saver, profiler)
    if run.average is not None and status == 0:
        with run.average.in_place():
            save_model(run.folder / AVERAGE, run.task, run.ranks, {"step": total, "ema_decay": run.optim.ema_decay})
    if run.ranks.is_main:
        best = (
            f"; best {run.task.best_by} {run.best_score:.4g}: {run.folder / BEST}" if run.best_score is not None else ""
        )
        print(f"last    {newest_checkpoint(run.folder)}{best}", flush=True)
    return status


def _tracker(run: TrainingRun) -> Tracker | None:
    return open_tracker(run.folder, run.tracking, run.settings) if run.ranks.is_main else None


def _run_steps(
    run: TrainingRun,
    optimizer: torch.optim.Optimizer,
    done: int,
    total: int,
    writer: MetricsWriter,
    saver: CheckpointSaver,
    profiler: StepProfiler,
) -> int:
    """Run the steps from number `done` on; return the exit status."""
    meter = ThroughputMeter(peak_flops(run.ranks.device)[0], run.task.unit)
    guard, finite = SkipGuard(run.loop.max_skipped), FiniteGuard(run.loop.max_not_finite)
    batches = run.batches.start(done)
    last = time.perf_counter()
    while done < total:
        began = time.perf_counter()
        batch = next(batches)
        waited = time.perf_counter() - began
        rate = learning_rate(done, total, run.optim)
        set_learning_rate(optimizer, rate)
        report, norm = _step(run, optimizer, batch, done + 1, finite)
        done += 1
        profiler.step()
        guard.add(len(batch), batch.skips, list(batch.examples.values()))
        used, stop = _agree(run, batch.usable)
        now = time.perf_counter()
        meter.add(StepMetrics(report, used, now - last, waited, run.task.flops(batch), rate, norm, batch.skips))
        if done % run.loop.log_every == 0 or done == total:
            _log_step(run, meter, writer, done, total)
        saver.check()
        if stop or done == total or done % run.loop.save_every == 0:
            saver.save(run.task, optimizer, CheckpointRecord(done, _identity(run), run.settings))
        if stop:  # the sender of the signal may not wait for scores: they are made when the run is resumed
            _log.warning("stopped by a signal after step %d; --resume auto continues from there", done)
            return STOPPED
        if _is_evaluated(run, done, total):
            _evaluate(run, done, writer)
        last = time.perf_counter()  # time for scores and checkpoints is not training time
    return 0


def _step(
    run: TrainingRun, optimizer: torch.optim.Optimizer, batch: Any, number: int, finite: FiniteGuard
) -> tuple[StepReport | None, float]:
    """Take one step; return its report and the gradients' norm: None and NaN if it was left out as not finite.

    A left-out step changes neither weights nor optimizer: the same losses are not finite on all ranks alike.

    Raises:
        NonFiniteLoss: too many of the last steps were not finite.
    """
    try:
        return run.task.step(batch), _update(run, optimizer, batch.keys)
    except NonFiniteLoss as error:
        optimizer.zero_grad(set_to_none=True)
        if not finite.allows(number):
            raise
        _log.warning("step %d is left out: %s", number, error)
        return None, math.nan


def _agree(run: TrainingRun, usable: int) -> tuple[int, bool]:
    """Return the usable rows of the global batch, and True if any rank was asked to stop."""
    mine = torch.tensor([usable, int(run.stop.asked)], dtype=torch.int64, device=run.ranks.device)
    used, asked = sum_over(mine, run.ranks).tolist()
    return used, asked > 0


def _log_step(run: TrainingRun, meter: ThroughputMeter, writer: MetricsWriter, done: int, total: int) -> None:
    """Write one log line; its skips are those of all ranks."""
    reading = meter.read(done)
    skips = sum((Counter(own) for own in gather_objects(dict(reading.skips), run.ranks)), Counter[str]())
    reading = replace(reading, skips=dict(skips))
    writer.write(done, reading.record())
    if run.ranks.is_main:
        left = timedelta(seconds=round((total - done) * reading.seconds_per_step))
        print(f"{reading.text()} · {done}/{total}, {left} left", flush=True)


def _update(run: TrainingRun, optimizer: torch.optim.Optimizer, keys: list[str]) -> float:
    """Clip the gradients, step, and clear them; return their norm before clipping.

    Raises:
        NonFiniteLoss: the norm is not finite; nothing was stepped with it.
    """
    norm = clip_gradients(run.task.module.parameters(), run.optim.clip_norm)
    if not math.isfinite(norm):
        raise NonFiniteLoss({"gradient norm": norm}, keys)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    run.task.after_step()
    if run.average is not None:
        run.average.update()
    return norm


def _is_evaluated(run: TrainingRun, done: int, total: int) -> bool:
    """Return True if scores are due after step `done`."""
    every = run.loop.evaluate_every
    return done == total or bool(every and done % every == 0)


def _owes_scores(run: TrainingRun, done: int, total: int) -> bool:
    """Return True if the run ended after a checkpoint and before the scores that belong to it."""
    owes = run.ranks.is_main and done > 0 and _is_evaluated(run, done, total)
    return any_rank(owes and not is_recorded(run.folder, done, "val"), run.ranks)


def _evaluate(run: TrainingRun, done: int, writer: MetricsWriter) -> None:
    """Score the model, or its averages; training draws the same random numbers as without scoring."""
    with run.average.in_place() if run.average is not None and run.optim.score_average else nullcontext():
        _score(run, done, writer)


def _score(run: TrainingRun, done: int, writer: MetricsWriter) -> None:
    """Score the model as it is now, and keep it if it is the best."""
    state = random_state()
    scores = dict(run.task.evaluate())
    set_random_state(state)
    if not scores:
        return
    if run.ranks.is_main:
        print(
            f"step {done} · held out · " + " ".join(f"{name} {value:.4g}" for name, value in scores.items()), flush=True
        )
    score = scores[run.task.best_by]
    if math.isfinite(score) and (run.best_score is None or score > run.best_score):
        run.best_score = score
        facts = {"step": done, "best_by": run.task.best_by, "scores": scores}
        said = {"scored_on": run.scored_on} if run.scored_on else {}
        save_model(run.folder / BEST, run.task, run.ranks, facts | said)
    writer.write(done, scores, kind="val")  # last: scores that are not recorded are made again when the run is resumed


def _resume(run: TrainingRun, optimizer: torch.optim.Optimizer, resume: str) -> int:
    """Restore everything from the checkpoint to resume; return the number of steps done, 0 without a checkpoint."""
    folder = checkpoint_to_resume(run.folder, resume)
    if folder is None:
        return 0
    record = read_record(folder)
    check_same_run(folder, record, _identity(run))
    restore(folder, record, run.task, optimizer, run.ranks)
    run.best_score = best_score(run.folder, run.task.best_by)
    _log.warning("resumed from %s: step %d", folder, record.step)
    return record.step


def _start_average(run: TrainingRun, optimizer: torch.optim.Optimizer, done: int) -> None:
    """Average the weights if the settings ask for it, from where the checkpoint left off."""
    if run.optim.ema_decay is None:
        return
    run.average = WeightAverage(optimizer, run.optim.ema_decay)
    if done and run.average.is_empty:
        _log.warning("optim.ema_decay: the checkpoint of step %d has no averaged weights, so they begin there", done)


def _check_same_step(run: TrainingRun, done: int, resume: str) -> None:
    """Refuse to continue if the ranks resumed from different steps."""
    steps = sorted(set(gather_objects(done, run.ranks)))
    if len(steps) > 1:
        raise UserError(
            f"--resume {resume}: ranks found different checkpoints (of steps {', '.join(map(str, steps))}); --output "
            "must be a folder that all machines share"
        )


def _identity(run: TrainingRun) -> RunIdentity:
    return RunIdentity(run.loop.batch_size, run.batches.identity, run.task.architecture, run.task.precision)

"""Training speed of whole models: clips per second, share of the device's peak (MFU), peak memory.

    python -m bench.towers                                  # B/32 and B/16, 12 frames, with and without torch.compile
    python -m bench.towers --shards /data/out               # the same, and also fed from shards
    python -m bench.towers --models random:tiny --batch 2 --steps 2 --no-compile      # runs on two CPU cores

A step is that of `train-vidla`: frames to model input, both towers under bfloat16 autocast, contrastive loss, AdamW.
Synthetic input has two texts per clip and is the same batch each time; from shards the wait for the batch is included.
FLOPs are those that the loss depends on: no padded tokens, no backward pass that never happens, no recomputation. MFU
is left out if the peak of the device is not known.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Final

import torch

from training.data.clip_batch import ClipBatch
from training.data.clip_tasks import ClipTask, MediaRef, RootTask
from training.data.data_settings import DataSettings
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.engine.metrics.run_metrics import peak_flops
from training.engine.optimizer import build_optimizer
from training.engine.parallel.distributed import Ranks
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import LossSettings, ModelSettings
from training.models.vidla.two_tower import VidLA
from training.vidla.contrastive_task import VidlaTask
from training.vidla.pretraining_run import open_batches, open_source
from training.vidla.text_terms import with_terms
from training.vidla.vidla_settings import VidlaSettings

LOSS: Final = LossSettings(terms={"subtitle": "subtitle_summary", "caption": "caption_summary"})
"""The loss of synthetic batches: the paper's two texts."""


@dataclass(frozen=True)
class Result:
    """Result of one model run in one way."""

    clips_per_second: float
    mfu: float | None
    """0 to 1."""
    peak_gib: float | None
    """GiB of the device's memory."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["random:ViT-B-32", "random:ViT-B-16"])
    parser.add_argument("--batch", type=int, default=64, help="clips")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20, help="timed steps, after three that are not timed")
    parser.add_argument("--checkpointing", choices=("none", "selective", "layers"), default="selective")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="also measure with torch.compile"
    )
    parser.add_argument("--shards", nargs="+", metavar="DIR", help="also measure training from these shards")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    print(f"{name}, torch {torch.__version__}, {options.batch} clips of {options.frames} frames, bfloat16 autocast.\n")
    print("| model | input | compiled | clips/s | MFU | peak memory, GiB |\n|---|---|---|---|---|---|")
    inputs = ("synthetic", "shards") if options.shards else ("synthetic",)
    for init in options.models:
        for given in inputs:
            for compiled in (False, True) if options.compile else (False,):
                found = _run(init, given, compiled, options, device)
                _print(f"{init.removeprefix('random:')} | {given}", compiled, found)
    return 0


def _run(init: str, given: str, compiled: bool, options: argparse.Namespace, device: torch.device) -> Result:
    """Measure the speed of a new model on one kind of input."""
    torch.manual_seed(0)
    settings = ModelSettings(init=init, frames=options.frames, checkpointing=options.checkpointing)
    model = build_model(settings).to(device).train()
    compute = ComputeSettings(precision="bf16", compile=compiled)
    if given == "shards":
        step = shard_step(model, settings, options.shards, options.batch, device, compute)
    else:
        step = synthetic_step(model, options.batch, options.frames, device, compute)
    return measure(step, options.batch, options.steps, device)


def _print(name: str, compiled: bool, found: Result) -> None:
    mfu = "" if found.mfu is None else f"{100 * found.mfu:.1f} %"
    peak = "" if found.peak_gib is None else f"{found.peak_gib:.1f}"
    how = "yes" if compiled else "no"
    print(f"| {name} | {how} | {found.clips_per_second:.2f} | {mfu} | {peak} |", flush=True)


def measure(step: Step, batch: int, steps: int, device: torch.device, warm: int = 3) -> Result:
    """Return the rate over `steps` steps of `batch` clips; MFU counts what a step spends (`VidlaTask.flops`)."""
    for _ in range(warm):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    flops = 0.0
    started = time.perf_counter()
    for _ in range(steps):
        step()
        flops += step.flops
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    peak, _ = peak_flops(device)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    return Result(batch * steps / seconds, None if peak is None else flops / seconds / peak, memory)


class Step:
    """One optimizer step of `train-vidla`, on the next batch; clips and gradients are clipped as there."""

    def __init__(self, task: VidlaTask, batches: Iterator[ClipBatch]) -> None:
        self.task, self.batches = task, batches
        self.optimizer = build_optimizer(task.module, OptimSettings())
        self.flops = 0.0
        """FLOPs of the last step, of those that its loss depends on."""

    def __call__(self) -> None:
        """Take the step."""
        batch = next(self.batches)
        self.flops = self.task.flops(batch)
        self.task.step(batch)
        bound = OptimSettings().clip_norm
        assert bound is not None
        float(torch.nn.utils.clip_grad_norm_(self.task.module.parameters(), bound))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.task.after_step()


def shard_step(
    model: VidLA,
    settings: ModelSettings,
    shards: list[str],
    clips: int,
    device: torch.device,
    compute: ComputeSettings,
    loss: LossSettings | None = None,
) -> Step:
    """Return a step on the next batch of some shards each time; without `loss` the terms follow the data."""
    data, loop = DataSettings(shards=shards), LoopSettings(batch_size=clips)
    run = with_terms(VidlaSettings(model=settings, data=data, loop=loop, loss=loss or LossSettings()))
    ranks = Ranks(device=device)
    return Step(VidlaTask(model, run.loss, compute, ranks), open_batches(run, open_source(run), model, ranks).start(0))


def synthetic_step(model: VidLA, clips: int, frames: int, device: torch.device, compute: ComputeSettings) -> Step:
    """Return a step on the same synthetic batch each time."""
    task = VidlaTask(model, LOSS, compute, Ranks(device=device))
    return Step(task, repeat(synthetic_batch(model, clips, frames)))


def synthetic_batch(model: VidLA, clips: int, frames: int) -> ClipBatch:
    """Return a batch of noise: clips of different videos, each with two texts."""
    side = model.image_size
    roots = [RootTask(f"{n}", f"{n}", MediaRef(""), (ClipTask(f"{n}", 0.0, 1.0, 0.0, 1.0, {}),)) for n in range(clips)]
    empty = ClipBatch.empty(roots, frames, side)
    texts = {term: [f"the {term} of clip number {number}" for number in range(clips)] for term in LOSS.columns_by_term}
    return replace(
        empty,
        frames_FSSC=torch.randint(0, 256, empty.frames_FSSC.shape, dtype=torch.uint8),
        weight_B=torch.ones(clips),
        tokens={term: model.tokenizer(rows) for term, rows in texts.items()},
        present={term: torch.ones(clips, dtype=torch.bool) for term in texts},
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""Training speed of whole models: clips per second, share of the device's peak (MFU), peak memory.

    python -m bench.towers                                  # B/32 and B/16, 12 frames, with and without torch.compile
    python -m bench.towers --shards /data/out               # the same, and also fed from shards
    python -m bench.towers --models random:tiny --batch 2 --steps 2 --no-compile      # runs on two CPU cores

On synthetic input a step is forward and backward of both towers under bfloat16 autocast, a contrastive loss within the
batch, and AdamW. From shards it is the step of `train-vidla` with two texts per clip, including the wait for its batch.
Model FLOPs are three times the forward pass of the video tower; the text tower and the recomputation of activation
checkpointing are not counted. MFU is left out if the peak of the device is not known.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from training.data.data_settings import DataSettings
from training.engine.distributed import Ranks
from training.engine.engine_settings import ComputeSettings, LoopSettings, OptimSettings
from training.engine.optimizer import build_optimizer
from training.engine.run_metrics import peak_flops
from training.models.vidla.initial_weights import build_model
from training.models.vidla.model_settings import ModelSettings
from training.models.vidla.two_tower import VidLA
from training.vidla.contrastive_task import VidlaTask
from training.vidla.pretraining_run import open_batches, open_source
from training.vidla.vidla_settings import VidlaSettings


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
    parser.add_argument("--checkpointing", action="store_true")
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
    step: Callable[[], None]
    if given == "shards":
        step = _ShardStep(model, settings, options, device, compiled)
    else:
        step = _Step(model, options.batch, options.frames, device, compiled)
    return _measure(step, 3 * model.video.flops(options.frames), options.batch, options.steps, device)


def _print(name: str, compiled: bool, found: Result) -> None:
    mfu = "" if found.mfu is None else f"{100 * found.mfu:.1f} %"
    peak = "" if found.peak_gib is None else f"{found.peak_gib:.1f}"
    how = "yes" if compiled else "no"
    print(f"| {name} | {how} | {found.clips_per_second:.2f} | {mfu} | {peak} |", flush=True)


def _measure(step: Callable[[], None], flops: float, batch: int, steps: int, device: torch.device) -> Result:
    """Return the rate over `steps` steps of `batch` clips, each of `flops` FLOPs."""
    for _ in range(3):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    rate = batch * steps / (time.perf_counter() - started)
    peak, _ = peak_flops(device)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    return Result(rate, None if peak is None else rate * flops / peak, memory)


class _ShardStep:
    """Return a function that runs one optimizer step of `train-vidla` on the next batch of a folder of shards."""

    def __init__(
        self, model: VidLA, settings: ModelSettings, options: argparse.Namespace, device: torch.device, compiled: bool
    ) -> None:
        data, loop = DataSettings(shards=options.shards), LoopSettings(batch_size=options.batch)
        run = VidlaSettings(model=settings, data=data, loop=loop)
        ranks = Ranks(device=device)
        self.task = VidlaTask(model, run.loss, ComputeSettings(precision="bf16", compile=compiled), ranks)
        self.optimizer = build_optimizer(self.task.module, OptimSettings())
        self.batches = open_batches(run, open_source(run), model, ranks).start(0)

    def __call__(self) -> None:
        self.task.step(next(self.batches))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class _Step:
    """Return a function that runs one optimizer step on the same synthetic batch each time."""

    def __init__(self, model: VidLA, batch: int, frames: int, device: torch.device, compiled: bool) -> None:
        side = model.image_size
        self.model, self.device = model, device
        self.video = torch.randn(batch, frames, 3, side, side, device=device)
        self.tokens = model.tokenizer([f"clip number {number}" for number in range(batch)]).to(device)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device.type == "cuda")
        self.encode = torch.compile(model.video) if compiled else model.video

    def __call__(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16):
            video_BD = F.normalize(self.encode(self.video), dim=-1)
            logits_BB = self.model.logit_scale.exp() * video_BD @ self.model.encode_text(self.tokens).T
            target_B = torch.arange(len(logits_BB), device=self.device)
            loss = F.cross_entropy(logits_BB, target_B) + F.cross_entropy(logits_BB.T, target_B)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    raise SystemExit(main())

"""Everything about training speed that one GPU can show, in one run of at most ten minutes, without a network.

    python -m bench.gpu --output gpu                    # B/32 with 128 clips, B/16 with 32 clips, 12 frames
    python -m bench.gpu --small --output gpu            # the same on a CPU, tiny: only shows that it runs

It prints Markdown tables and writes `gpu.json` into the folder:

- agreement: a step's loss and embeddings in bfloat16 against the same in float64 on the CPU;
- kernels: attention over time against one sequence a position, and its distance from float64;
- layer: how the time of a layer, forward and backward, is split over its parts;
- step: clips a second, MFU, memory and values fetched from the device of the whole training step: eager and compiled,
  in one micro-batch and in two (GradCache), and fed from shards that are made on the spot. A CPU does not compile.

A part that fails is reported with its error, and the others go on. Parts that don't fit into `--minutes` are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile

from bench.attention_over_time import ratios
from bench.loop_data import write_world
from bench.towers import measure, shard_step, synthetic_batch, synthetic_step
from runtime.log import get_logger
from training.engine.engine_settings import ComputeSettings
from training.models.vidla.initial_weights import build_model
from training.models.vidla.kernels.attention_over_time import attention_over_time
from training.models.vidla.model_settings import LossSettings, ModelSettings
from training.models.vidla.projections import Projections
from training.models.vidla.temporal_attention import global_attention, summary_mask
from training.models.vidla.tower_batches import clips_of
from training.models.vidla.two_tower import VidLA

Rows = list[dict[str, Any]]

_log = get_logger(__name__)


@dataclass(frozen=True)
class Size:
    """The models to measure, and how long."""

    models: tuple[tuple[str, int], ...]
    """Weights, and clips in a batch."""
    frames: int
    steps: int
    warm: int
    """Steps before those that are timed."""
    videos: int
    """Videos in the shards that are made."""
    side: int
    """Side of their pictures, pixels."""


FULL: Final = Size((("random:ViT-B-32", 128), ("random:ViT-B-16", 32)), 12, 20, 3, 256, 256)
SMALL: Final = Size((("random:tiny", 4),), 12, 1, 0, 12, 32)


_LOSS: Final = LossSettings(terms={"caption": "caption", "again": "caption"})
"""Two texts of each clip in the shards, as synthetic clips have."""


@dataclass(frozen=True)
class Bench:
    """One run of the bench."""

    size: Size
    device: torch.device
    shards: Path
    """Folder of the shards that are made."""

    def agreement(self) -> Iterator[dict[str, Any]]:
        """Yield the distance of a step in bfloat16 from the same in float64, for each model with two clips."""
        for init, _ in self.size.models:
            exact, low = self._model(init).double(), self._model(init)
            batch = synthetic_batch(exact, 2, self.size.frames)
            expected = _embeddings(exact, batch, torch.device("cpu"), "fp32")
            found = _embeddings(low.to(self.device), batch, self.device, "bf16")
            cosine = torch.cosine_similarity(found.double().cpu(), expected.double(), dim=-1)
            yield {"model": init, "least cosine with float64": round(float(cosine.min()), 6)}

    def kernels(self) -> Iterator[dict[str, Any]]:
        """Yield how many times faster attention over time is, and its largest relative distance from float64."""
        clips, positions = self._clips_and_positions()
        for dtype in (torch.bfloat16, torch.float32):
            qkv_BTNE = torch.randn(clips, self.size.frames, positions, 3 * 768, dtype=dtype, device=self.device)
            found = ratios(qkv_BTNE, 12, 2 * self.size.steps)
            forward, both = (statistics.median(of) for of in zip(*found, strict=True))
            exact = attention_over_time(qkv_BTNE[:1].double().cpu(), 12)
            away = (attention_over_time(qkv_BTNE[:1], 12).double().cpu() - exact).abs().max() / exact.abs().max()
            speed = {"forward, times faster": round(forward, 2), "with backward, times faster": round(both, 2)}
            yield {"type": str(dtype).removeprefix("torch."), **speed, "away from float64": f"{float(away):.1e}"}

    def layer(self) -> Iterator[dict[str, Any]]:
        """Yield the milliseconds of a layer and of its parts, forward and backward under bfloat16 autocast."""
        for init, clips in self.size.models:
            for name, part in _parts(self._model(init).to(self.device), clips, self.size.frames, self.device).items():
                yield {"model": init, "part": name, "ms": round(1e3 * _seconds(part, self.size.steps, self.device), 2)}

    def step(self) -> Iterator[dict[str, Any]]:
        """Yield the speed of the training step in each form."""
        eager, fast = ComputeSettings(precision="bf16"), ComputeSettings(precision="bf16", compile=True)
        compiled = self.device.type == "cuda"
        for init, clips in self.size.models:
            yield self._step(init, clips, "synthetic, eager", eager)
            if compiled:
                halves = fast.model_copy(update={"micro_batch": clips // 2})
                yield self._step(init, clips, "synthetic, compiled", fast)
                yield self._step(init, clips, "synthetic, compiled, two micro-batches", halves)
            yield self._step(init, clips, "shards", fast if compiled else eager)

    def _step(self, init: str, clips: int, name: str, compute: ComputeSettings) -> dict[str, Any]:
        settings, model = ModelSettings(init=init, frames=self.size.frames), self._model(init).to(self.device)
        if name == "shards":
            step = shard_step(model, settings, [str(self.shards)], clips, self.device, compute, _LOSS)
        else:
            step = synthetic_step(model, clips, self.size.frames, self.device, compute)
        found = measure(step, clips, self.size.steps, self.device, self.size.warm)
        return {"model": init, "clips": clips, "input": name, **_rounded(asdict(found)), "fetched": fetches(step)}

    def _model(self, init: str) -> VidLA:
        torch.manual_seed(0)
        return build_model(ModelSettings(init=init, frames=self.size.frames)).train()

    def _clips_and_positions(self) -> tuple[int, int]:
        return (64, 196) if self.size is FULL else (1, 16)


def fetches(step: Callable[[], None]) -> int:
    """Return how often a step waits for values from the device: on a CPU, how often it reads a scalar of a tensor."""
    if not torch.cuda.is_available():
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            step()
        return sum(event.count for event in profiler.key_averages() if event.key == "aten::_local_scalar_dense")
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)


def _embeddings(model: VidLA, batch: Any, device: torch.device, precision: str) -> torch.Tensor:
    """Return the embeddings of clips and texts under one another."""
    video_BTCHW = clips_of(batch, model, device).to(model.logit_scale.dtype)
    tokens = {term: ids.to(device) for term, ids in batch.tokens.items()}
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        video_BD, texts = model(video_BTCHW, tokens)
    return torch.cat((video_BD, *texts.values()))


def _parts(model: VidLA, clips: int, frames: int, device: torch.device) -> dict[str, Callable[[], torch.Tensor]]:
    """Return the first layer and its parts as functions of the same tokens, to be differentiated."""
    tower, layer = model.video, model.video.layers[0]
    size = {"dtype": torch.bfloat16, "device": device, "requires_grad": True}
    few = torch.randn(clips, tower.own_tokens + tower.settings.mst_tokens, tower.width, **size)
    many = torch.randn(clips, frames, tower.patches, tower.width, **size)
    mask, temporal = summary_mask(tower.settings, many, tower.own_tokens), layer.temporal
    assert temporal is not None
    project = Projections(layer.parts, None, rotate_half=False, selective=False)
    with torch.autocast(device.type, torch.bfloat16):
        projected = [[x.detach().requires_grad_() for x in kind] for kind in project.all_tokens(few, many)]
    of_few, of_many = (tuple(kind) for kind in projected)
    heads = layer.parts.heads
    return {
        "whole layer": lambda: layer(few, many, mask)[1],
        "attention over time": lambda: temporal(many),
        "projections": lambda: project.all_tokens(few, many)[1][0],
        "global attention": lambda: global_attention(of_few, of_many, heads, mask, 0)[1],
        "MLP of patches": lambda: layer.mlp_update(many),
    }


def _seconds(part: Callable[[], torch.Tensor], runs: int, device: torch.device) -> float:
    """Return the median seconds of forward and backward, after two runs that are not counted."""
    found = []
    for _ in range(runs + 2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16):
            result = part()
        result.sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - began)
    return statistics.median(found[2:])


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def _collect(name: str, rows: Iterator[dict[str, Any]], deadline: float) -> Rows:
    """Return the rows of one part; an error becomes its last row, and time that is up ends it."""
    found: Rows = []
    try:
        for row in rows:
            found.append(row)
            if time.monotonic() > deadline:
                return [*found, {"left out": "the rest: time is up"}]
    except (RuntimeError, ValueError, AssertionError) as error:  # a GPU that lacks memory or a kernel, say
        _log.exception("%s: failed", name)
        found.append({"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"})
    return found


def table(rows: Rows) -> str:
    """Return rows as Markdown, with the columns of all of them."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join('' if row.get(name) is None else str(row[name]) for name in columns)} |" for row in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print Markdown and write JSON; the exit status is 1 if a part failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of gpu.json")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--minutes", type=float, default=9.0, help="parts that begin later are left out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    device, size = torch.device(options.device), SMALL if options.small else FULL
    deadline = time.monotonic() + 60 * options.minutes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    results: dict[str, Any] = {"device": name, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    print(f"{name}, torch {torch.__version__}, {results['date']}", flush=True)
    with TemporaryDirectory() as folder:
        bench = Bench(size, device, Path(folder) / "shards")
        write_world(bench.shards, size.videos, 0, noisy=False, side=size.side)
        for part in (bench.agreement, bench.kernels, bench.layer, bench.step):
            results[part.__name__] = _collect(part.__name__, part(), deadline)
            print(f"\n## {part.__name__}\n\n{table(results[part.__name__])}", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "gpu.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(any("failed" in row for rows in results.values() if isinstance(rows, list) for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())

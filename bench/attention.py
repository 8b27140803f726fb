"""Structured hierarchical temporal attention against its dense form with masks: time, memory, FLOPs; and whole towers.

    python -m bench.attention              # width 768, 196 patches per frame: minutes on two cores, up to 4 GiB
    python -m bench.attention --small      # seconds: only checks that it runs, ratios mean nothing

All forms have the same weights and input, and run forward and backward in float32 with batch 1; runs alternate, and
medians are shown. The dense form is one sequence of all tokens under boolean masks, computed by
`scaled_dot_product_attention` ("dense SDPA") or with an explicit softmax ("materialised"). On a CPU, times are
processor seconds of one thread, which other work on the machine disturbs little. Peak memory is that of torch's
allocator; FLOPs are counted by torch.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from training.models.vidla.kernels.attention_over_time import attention_over_time
from training.models.vidla.model_settings import TemporalSettings
from training.models.vidla.temporal_attention import global_attention, summary_mask
from training.models.vidla.towers.clip_tower import ClipLayer
from training.models.vidla.video_tower import VideoLayer, VideoTower

SETTINGS = TemporalSettings()
FORMS = ("structure", "dense SDPA", "materialised")


@dataclass(frozen=True)
class Size:
    """Sizes of the layers and towers to measure."""

    width: int
    heads: int
    patches: int
    frames: int
    long_frames: int
    towers: Mapping[str, Mapping[str, Any]]
    """open_clip's vision configurations by name."""


FULL = Size(768, 12, 196, 12, 64, {"ViT-B-32": {"patch_size": 32}, "ViT-B-16": {"patch_size": 16}})
SMALL = Size(
    64, 2, 16, 12, 16, {"small": {"patch_size": 16, "image_size": 64, "width": 64, "layers": 2, "head_width": 32}}
)


class DenseLayer(nn.Module):
    """The same layer as attention over one sequence of all tokens, with the paper's masks."""

    def __init__(self, layer: VideoLayer, frames: int, patches: int, materialise: bool) -> None:
        super().__init__()
        self.layer, self.materialise = layer, materialise
        self.register_buffer("local", local_mask(frames, patches))
        self.register_buffer("everything", global_mask(frames, patches))

    def forward(self, tokens_BLD: torch.Tensor) -> torch.Tensor:
        """Return all tokens after the layer."""
        layer, slt = self.layer, self.layer.temporal
        assert slt is not None
        summary, patches = tokens_BLD.split(
            (SETTINGS.summary_tokens, tokens_BLD.shape[1] - SETTINGS.summary_tokens), dim=1
        )
        qkv = slt.qkv(slt.ln(patches)).unflatten(-1, (slt.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        patches = patches + slt.out_proj(self._attend(qkv, self.local))
        x = torch.cat((summary, patches), dim=1)
        qkv = F.linear(layer.ln_1(x), layer.attn.in_proj_weight, layer.attn.in_proj_bias)
        qkv = qkv.unflatten(-1, (3, slt.heads, -1)).permute(2, 0, 3, 1, 4)
        return layer._finish(x, self._attend(qkv, self.everything))

    def _attend(self, qkv: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return dense_attention(*qkv, mask, self.materialise).transpose(1, 2).flatten(2)


def dense_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, materialise: bool
) -> torch.Tensor:
    """Return attention [B, H, L, C] under a boolean mask [L, L]."""
    if not materialise:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    logits = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    return logits.masked_fill(~mask, -math.inf).softmax(-1) @ v


def local_mask(frames: int, patches: int) -> torch.Tensor:
    """Return the mask of spatially local temporal attention, [TN, TN]."""
    place = torch.arange(frames * patches) % patches
    return place[:, None] == place[None]


def global_mask(frames: int, patches: int) -> torch.Tensor:
    """Return the mask of global attention with the default settings, [1+UV+TN, 1+UV+TN]."""
    s, per_level = SETTINGS.summary_tokens, SETTINGS.tokens_per_level
    frame = torch.arange(frames * patches) // patches
    mask = torch.zeros(s + len(frame), s + len(frame), dtype=torch.bool)
    mask[0] = True
    for level in range(SETTINGS.levels):
        own = slice(1 + level * per_level, 1 + (level + 1) * per_level)
        mask[own, 1 : own.stop] = True
        mask[own, s:] = frame % SETTINGS.scale**level == 0
    mask[s:, :s] = True
    mask[s:, s:] = frame[:, None] == frame[None]
    return mask


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick check that everything runs")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of each way")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    size = SMALL if options.small else FULL
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(_machine(options.device), end="\n\n")
    print("| attention, forward + backward | structure | dense SDPA | ratio | target |\n|---|---|---|---|---|")
    _print_cores(size, options.device, options.runs)
    for frames, asked in ((size.frames, 1.7), (size.long_frames, 4.0)):
        _print_layer(size, frames, asked, options.device, options.runs if frames < 32 else min(options.runs, 2))
    _print_memory(size, options.device)
    _print_linearity(size)
    _print_towers(size, options.device, options.runs)
    return 0


def _print_cores(size: Size, device: str, runs: int) -> None:
    ours, theirs = _alternate([_core_step(size, form, device) for form in FORMS[:2]], runs)
    _row(f"attention cores, T={size.frames}", ours, theirs, "10")


def _print_layer(size: Size, frames: int, asked: float, device: str, runs: int) -> None:
    steps = [_layer_step(size, form, frames, device) for form in FORMS[:2]]
    ours, theirs = _alternate(steps, runs)
    counted = [_layer_flops(size, form, frames) for form in FORMS[:2]]
    _row(f"full layer, T={frames}", ours, theirs, f"{asked:g}")
    print(f"| its FLOPs, T={frames} | {counted[0]:.3g} | {counted[1]:.3g} | {counted[1] / counted[0]:.2f} | |")


def _print_memory(size: Size, device: str) -> None:
    """Print the peak memory that forward and backward add."""
    for name, make in (("attention cores", _core_step), ("full layer", partial(_layer_step, frames=size.frames))):
        peaks = {form: _peak(make(size, form, device=device), device) for form in FORMS}
        print(f"\n| {name}, T={size.frames}, peak memory | MiB | structure needs of it | target |\n|---|---|---|---|")
        for form, asked in zip(FORMS, ("", "at most 1.2", "at most 0.33"), strict=True):
            share = peaks["structure"] / peaks[form]
            print(f"| {form} | {peaks[form] / 2**20:.0f} | {share:.2f} | {asked} |", flush=True)


def _print_linearity(size: Size) -> None:
    """Print the FLOPs per frame for several numbers of frames."""
    print("\n| frames | FLOPs of a layer | over linear from the fewest |\n|---|---|---|")
    frames = [4, 8, 16, 32, 64]
    counted = [_layer_flops(size, "structure", t) for t in frames]
    for t, flops in zip(frames, counted, strict=True):
        print(f"| {t} | {flops:.4g} | {flops / (counted[0] * t / frames[0]):.3f} |")


def _print_towers(size: Size, device: str, runs: int) -> None:
    """Print the time of a video tower beside that of its image tower applied frame by frame."""
    print("\n| tower, forward + backward, T=12 | ms | frame by frame, ms | ratio | in FLOPs | target |")
    print("|---|---|---|---|---|---|")
    for name, changes in size.towers.items():
        visual, tower = _towers(changes, device)
        video = torch.randn(1, size.frames, 3, tower.image_size, tower.image_size, device=device)
        ours, theirs = _alternate(
            [_backward(lambda t=tower, v=video: (t(v),)), _backward(lambda i=visual, v=video: (i(v[0]).mean(0),))], runs
        )
        flops = (
            _count(lambda c=changes: _on_meta_towers(c, size.frames, 1)),
            _count(lambda c=changes: _on_meta_towers(c, size.frames, 0)),
        )
        print(
            f"| {name} | {ours * 1e3:.0f} | {theirs * 1e3:.0f} | {ours / theirs:.2f} | {flops[0] / flops[1]:.2f} "
            "| at most 1.5 |",
            flush=True,
        )


def _layer(size: Size) -> VideoLayer:
    layer = ClipLayer(ResidualAttentionBlock(size.width, size.heads), SETTINGS)
    assert layer.temporal is not None
    nn.init.normal_(layer.temporal.out_proj.weight, std=0.02)
    return layer


def _layer_step(size: Size, form: str, frames: int, device: str) -> Callable[[], None]:
    """Return a function that runs forward and backward of one layer."""
    torch.manual_seed(0)
    leaf = _leaves(device)
    layer = _layer(size).to(device)
    summary, patches = leaf(1, SETTINGS.summary_tokens, size.width), leaf(1, frames, size.patches, size.width)
    if form == "structure":
        return _backward(lambda: layer(summary, patches, summary_mask(SETTINGS, patches)))
    dense = DenseLayer(layer, frames, size.patches, form == "materialised").to(device)
    tokens = torch.cat((summary, patches.flatten(1, 2)), dim=1).detach().requires_grad_()
    return _backward(lambda: (dense(tokens),))


def _core_step(size: Size, form: str, device: str) -> Callable[[], None]:
    """Return a function that runs forward and backward of both attentions of a layer, without projections."""
    frames, patches, width, heads = size.frames, size.patches, size.width, size.heads
    leaf = _leaves(device)
    if form == "structure":
        local = leaf(1, frames, patches, 3 * width)
        summary = leaf(1, SETTINGS.summary_tokens, width), *_pair(leaf, 1, SETTINGS.summary_tokens, width)
        many = leaf(1, frames, patches, width), *_pair(leaf, 1, frames, patches, width)
        mask = summary_mask(SETTINGS, many[0])
        return _backward(lambda: (attention_over_time(local, heads), *global_attention(summary, many, heads, mask, 0)))
    short, long = frames * patches, SETTINGS.summary_tokens + frames * patches
    q, qg = leaf(3, 1, heads, short, width // heads), leaf(3, 1, heads, long, width // heads)
    masks = local_mask(frames, patches).to(device), global_mask(frames, patches).to(device)
    full = form == "materialised"
    return _backward(lambda: (dense_attention(*q, masks[0], full), dense_attention(*qg, masks[1], full)))


def _pair(leaf: Callable[..., torch.Tensor], *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return leaf(*shape), leaf(*shape)


def _peak(step: Callable[[], None], device: str) -> int:
    """Return the peak of the bytes that torch allocates in a step; gradients are allocated before it."""
    step()
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda e: e.start_ns())))


def _layer_flops(size: Size, form: str, frames: int) -> float:
    """Return the FLOPs of forward and backward of one layer, counted without computing anything."""
    with torch.device("meta"):
        return _count(lambda: _layer_step(size, form, frames, "meta")())


def _on_meta_towers(changes: Mapping[str, Any], frames: int, which: int) -> None:
    with torch.device("meta"):
        visual, tower = _towers(changes, "meta")
        video = torch.empty(1, frames, 3, tower.image_size, tower.image_size)
        (tower(video) if which else visual(video[0])).sum().backward()


def _towers(changes: Mapping[str, Any], device: str) -> tuple[VisionTransformer, VideoTower]:
    visual = _build_vision_tower(512, CLIPVisionCfg(**changes))
    return visual.to(device), VideoTower.from_clip(visual, SETTINGS, 12).to(device)


def _count(work: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return float(counter.get_total_flops())


def _leaves(device: str) -> Callable[..., torch.Tensor]:
    return lambda *shape: torch.randn(*shape, device=device, requires_grad=True)


def _backward(forward: Callable[[], tuple[torch.Tensor, ...]]) -> Callable[[], None]:
    """Run forward, then backward from a gradient that differs between elements."""
    gradients: list[torch.Tensor] = []

    def step() -> None:
        outputs = forward()
        if not gradients:
            gradients.extend(torch.randn_like(output) for output in outputs)
        torch.autograd.backward(outputs, gradients)

    return step


def _alternate(steps: Sequence[Callable[[], None]], runs: int) -> list[float]:
    """Return the median seconds of each, after one run that is not counted."""
    seconds: list[list[float]] = [[] for _ in steps]
    for number in range(runs + 1):
        for step, found in zip(steps, seconds, strict=True):
            started = _clock()
            step()
            if number:
                found.append(_clock() - started)
    return [statistics.median(found) for found in seconds]


def _clock() -> float:
    """Return the seconds of the GPU's work, or without a GPU the processor seconds of this process."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _row(name: str, ours: float, theirs: float, asked: str) -> None:
    print(f"| {name} | {ours * 1e3:.1f} ms | {theirs * 1e3:.1f} ms | {theirs / ours:.2f} | {asked} |", flush=True)


def _machine(device: str) -> str:
    name = torch.cuda.get_device_name() if device != "cpu" else f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads, float32, batch 1."


if __name__ == "__main__":
    raise SystemExit(main())

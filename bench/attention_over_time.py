"""Attention over time at each position, against `scaled_dot_product_attention` on one sequence a position.

    python -m bench.attention_over_time             # 12 frames of 196 patches, 12 heads of 64, two clips
    python -m bench.attention_over_time --clips 128 # on a GPU

The alternative is the usual form: projections are rearranged to [B·N, H, T, C] and passed to the library's attention,
whichever kernel that chooses. Both run forward and backward on the same projections, in turn. On a CPU, times are
processor seconds of one thread. The ratio is the alternative's time over ours, median of the rounds (least to most).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from training.models.vidla.kernels.attention_over_time import attention_over_time


def one_sequence_a_position(qkv_BTNE: torch.Tensor, heads: int) -> torch.Tensor:
    """Compute the same as `attention_over_time` with [B·N] sequences of T tokens."""
    b, t, n, e = qkv_BTNE.shape
    q, k, v = qkv_BTNE.view(b, t, n, heads, 3, -1).permute(4, 0, 2, 3, 1, 5).flatten(1, 2).unbind(0)
    return F.scaled_dot_product_attention(q, k, v).unflatten(0, (b, n)).permute(0, 3, 1, 2, 4).reshape(b, t, n, e // 3)


def ratios(qkv_BTNE: torch.Tensor, heads: int, rounds: int) -> list[tuple[float, float]]:
    """Return the alternative's time over ours, of forward and of forward with backward, one pair a round."""
    gradient = torch.randn_like(qkv_BTNE[..., : qkv_BTNE.shape[3] // 3])
    found = []
    for number in range(rounds + 1):
        ours, theirs = (
            _seconds(way, qkv_BTNE, heads, gradient) for way in (attention_over_time, one_sequence_a_position)
        )
        if number:  # the first round compiles and loads
            found.append((theirs[0] / ours[0], theirs[1] / ours[1]))
    return found


def _seconds(
    way: Callable[[torch.Tensor, int], torch.Tensor], qkv_BTNE: torch.Tensor, heads: int, gradient: torch.Tensor
) -> tuple[float, float]:
    """Return the seconds of forward, and of forward and backward."""
    leaf = qkv_BTNE.detach().requires_grad_()
    began = _clock(leaf.device)
    attended = way(leaf, heads)
    between = _clock(leaf.device)
    attended.backward(gradient)
    return between - began, _clock(leaf.device) - began


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--positions", type=int, default=196)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    heads, width = 12, 64
    print("| type | forward, times faster | forward and backward, times faster | target |\n|---|---|---|---|")
    for dtype in (torch.float32, torch.bfloat16):
        size = (options.clips, options.frames, options.positions, 3 * heads * width)
        found = ratios(torch.randn(size, dtype=dtype, device=options.device), heads, options.rounds)
        shown = [f"{statistics.median(of):.2f} ({min(of):.2f} to {max(of):.2f})" for of in zip(*found, strict=True)]
        print(f"| {str(dtype).removeprefix('torch.')} | {shown[0]} | {shown[1]} | 2 |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

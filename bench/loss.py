"""Memory and time of the chunked contrastive loss against the form with the whole matrix of logits.

    python -m bench.loss                     # 32,768 x 512, one term, both directions, forward and backward
    python -m bench.loss --small             # 4,096 x 512
    python -m bench.loss --device cuda

Each way runs in a process of its own on the same embeddings; memory is the peak that the loss adds to them, with their
gradients. On a CPU that is resident memory; large blocks are mapped one by one, so that freed memory is not counted. A
way that needs more memory than is available is left out, and its need is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import psutil
import torch
import torch.nn.functional as F

from bench.memory import MAPPED, in_use, peak
from training.engine.distributed import Ranks
from training.models.vidla.contrastive_loss import contrastive_loss
from training.models.vidla.model_settings import LossSettings

WAYS = ("chunked", "whole matrix")
ALLOWED_GIB = 1.0
MATRICES = 4
"""Matrices that the materialised form holds at its peak: the logits, two log-softmaxes, a gradient."""


@dataclass(frozen=True)
class Measured:
    """Result of one way at one size."""

    gib: float
    seconds: float
    loss: float


def loss_of(
    way: str, video_BD: torch.Tensor, text_BD: torch.Tensor, scale: torch.Tensor, chunk: int, ranks: Ranks
) -> torch.Tensor:
    """Compute both directions of one term, with all texts present and each clip from another video."""
    rows = torch.arange(len(video_BD), device=video_BD.device)
    if way == "chunked":
        present, span_B2 = (
            {"caption": torch.ones_like(rows, dtype=torch.bool)},
            torch.zeros(len(rows), 2).to(rows.device),
        )
        settings = LossSettings(chunk=chunk)
        shares = contrastive_loss(video_BD, {"caption": text_BD}, present, scale, rows, span_B2, settings, ranks)
        return shares["caption"]
    logits_BB = scale * video_BD @ text_BD.T
    return F.cross_entropy(logits_BB, rows) + F.cross_entropy(logits_BB.T, rows)


def measure(way: str, rows: int, width: int, chunk: int, device: torch.device) -> Measured:
    """Run forward and backward once in this process; return the peak memory that they add."""
    draw = torch.Generator().manual_seed(0)
    pair = [F.normalize(torch.randn(rows, width, generator=draw), dim=1).to(device) for _ in range(2)]
    video_BD, text_BD = (x.requires_grad_() for x in pair)
    scale = torch.tensor(1 / 0.07, device=device, requires_grad=True)
    ranks = Ranks(device=device)
    loss_of(way, video_BD[:64], text_BD[:64], scale, chunk, ranks).backward()  # load libraries
    for leaf in (video_BD, text_BD):
        leaf.grad = None
    before = in_use(device)
    began = time.perf_counter()
    loss = loss_of(way, video_BD, text_BD, scale, chunk, ranks)
    loss.backward()
    value = loss.item()
    seconds = time.perf_counter() - began
    return Measured((peak(device) - before) / 2**30, seconds, value)


def measure_apart(way: str, arguments: argparse.Namespace) -> Measured | None:
    """Do the same in a process of its own; return None if it would not fit."""
    if way != "chunked" and MATRICES * 4 * arguments.rows**2 > 0.9 * _available(arguments.device):
        return None
    command = [sys.executable, "-m", "bench.loss", "--way", way, "--rows", str(arguments.rows)]
    command += ["--width", str(arguments.width), "--chunk", str(arguments.chunk), "--device", arguments.device]
    environment = os.environ | MAPPED
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Measured(**json.loads(done.stdout))


def report(arguments: argparse.Namespace, results: dict[str, Measured | None]) -> str:
    """Return the result as Markdown, with machine and date."""
    name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else f"{os.cpu_count()} cores"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {name}, torch {torch.__version__}; {arguments.rows} x "
        f"{arguments.width} float32, one term, both directions, forward and backward, {arguments.chunk} rows a chunk.",
        "",
        "| way | GiB added | seconds | loss |",
        "|---|---|---|---|",
    ]
    for way, found in results.items():
        wanted = f"about {MATRICES * 4 * arguments.rows**2 / 2**30:.1f}"
        shown = f"{found.gib:.3f} | {found.seconds:.2f} | {found.loss:.6f}" if found else f"{wanted}, not run | |"
        lines.append(f"| {way} | {shown} |")
    ours, other = results["chunked"], results["whole matrix"]
    assert ours is not None
    lines += ["", f"{ours.gib:.3f} GiB (target at 32,768 x 512: below {ALLOWED_GIB:g})."]
    if other:
        lines[-1] += (
            f" {other.gib / ours.gib:.1f} times less memory, {ours.seconds / other.seconds:.2f} times the time."
        )
    return "\n".join(lines)


def _available(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available


def main() -> None:
    """Measure both ways, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--chunk", type=int, default=LossSettings().chunk)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="4,096 rows")
    parser.add_argument("--way", choices=WAYS, help="measure only this way, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.rows = 4096
    if arguments.way:
        device = torch.device(arguments.device)
        found = measure(arguments.way, arguments.rows, arguments.width, arguments.chunk, device)
        print(json.dumps(asdict(found)))
        return
    print(report(arguments, {way: measure_apart(way, arguments) for way in WAYS}))


if __name__ == "__main__":
    main()

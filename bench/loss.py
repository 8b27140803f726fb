"""Memory and time of the chunked losses against the form with the whole matrix of logits.

    python -m bench.loss                     # 32,768 x 512, one term, both directions, forward and backward
    python -m bench.loss --small             # 4,096 x 512
    python -m bench.loss --small --kind siglip   # the sigmoid loss, against open_clip's SigLipLoss
    python -m bench.loss --device cuda

Each way runs in a process of its own on the same embeddings; memory is the peak that the loss adds to them, with their
gradients. On a CPU that is resident memory; large blocks are mapped one by one, so that freed memory is not counted. A
way that needs more memory than is available is left out, and its need is printed. Times are compared in one process, in
turn: on a CPU processor seconds of one thread, which other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import psutil
import torch
import torch.nn.functional as F
from open_clip.loss import SigLipLoss

from bench.memory import MAPPED, in_use, peak
from training.engine.parallel.distributed import Ranks
from training.models.vidla.losses.contrastive_loss import contrastive_loss
from training.models.vidla.losses.siglip_loss import siglip_loss
from training.models.vidla.model_settings import FIRST_LOGIT_BIAS, LossKind, LossSettings

WAYS = ("chunked", "whole matrix")
ALLOWED_GIB = 1.0
ALLOWED_RATIO = 1.4
MATRICES = 4
"""Matrices that the materialised form holds at its peak: the logits, two log-softmaxes, a gradient."""


@dataclass(frozen=True)
class Measured:
    """Result of one way at one size."""

    gib: float
    loss: float


def loss_of(
    way: str, kind: LossKind, video_BD: torch.Tensor, text_BD: torch.Tensor, scale: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Compute one term, in both directions for InfoNCE, with all texts present and each clip from another video."""
    bias = torch.tensor(FIRST_LOGIT_BIAS, device=scale.device)
    loss = contrastive_loss if kind == "infonce" else partial(siglip_loss, logit_bias=bias)
    rows = torch.arange(len(video_BD), device=video_BD.device)
    if way == "chunked":
        present, span_B2 = (
            {"caption": torch.ones_like(rows, dtype=torch.bool)},
            torch.zeros(len(rows), 2).to(rows.device),
        )
        settings = LossSettings(chunk=chunk)
        ranks = Ranks(device=scale.device)
        return loss(video_BD, {"caption": text_BD}, present, scale, rows, span_B2, settings, ranks)["caption"]
    if kind == "siglip":
        return cast(torch.Tensor, SigLipLoss()(video_BD, text_BD, scale, bias))
    logits_BB = scale * video_BD @ text_BD.T
    return F.cross_entropy(logits_BB, rows) + F.cross_entropy(logits_BB.T, rows)


@dataclass(frozen=True)
class Leaves:
    """Embeddings and scale that collect gradients."""

    video_BD: torch.Tensor
    text_BD: torch.Tensor
    scale: torch.Tensor
    kind: LossKind

    @classmethod
    def draw(cls, rows: int, width: int, device: torch.device, kind: LossKind) -> Leaves:
        """Draw random embeddings of unit length."""
        draw = torch.Generator().manual_seed(0)
        pair = [F.normalize(torch.randn(rows, width, generator=draw), dim=1).to(device) for _ in range(2)]
        video_BD, text_BD = (x.requires_grad_() for x in pair)
        return cls(video_BD, text_BD, torch.tensor(1 / 0.07, device=device, requires_grad=True), kind)

    def step(self, way: str, chunk: int, rows: int | None = None) -> torch.Tensor:
        """Run forward and backward of the first `rows` rows, or of all; return the loss."""
        self.video_BD.grad = self.text_BD.grad = None
        loss = loss_of(way, self.kind, self.video_BD[:rows], self.text_BD[:rows], self.scale, chunk)
        loss.backward()
        return loss.detach()


def measure(way: str, arguments: argparse.Namespace) -> Measured:
    """Run forward and backward once in this process; return the peak memory that they add."""
    device, chunk = torch.device(arguments.device), arguments.chunk
    leaves = Leaves.draw(arguments.rows, arguments.width, device, arguments.kind)
    leaves.step(way, chunk, 64)  # load libraries
    leaves.video_BD.grad = leaves.text_BD.grad = None
    before = in_use(device)
    value = leaves.step(way, chunk).item()
    return Measured((peak(device) - before) / 2**30, value)


def time_ratios(arguments: argparse.Namespace) -> list[float]:
    """Return the time of the chunked form over that of the whole matrix, one ratio a round."""
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    leaves = Leaves.draw(arguments.rows, arguments.width, device, arguments.kind)
    ratios = []
    for number in range(arguments.rounds + 1):
        seconds = []
        for way in WAYS:
            began = _clock(device)
            leaves.step(way, arguments.chunk)
            seconds.append(_clock(device) - began)
        if number:  # the first round loads libraries
            ratios.append(seconds[0] / seconds[1])
    return ratios


def _clock(device: torch.device) -> float:
    """Return the seconds of the GPU's work, or on a CPU the processor seconds of this process."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_apart(way: str, arguments: argparse.Namespace) -> Measured | None:
    """Do the same in a process of its own; return None if it would not fit."""
    if way != "chunked" and MATRICES * 4 * arguments.rows**2 > 0.9 * _available(arguments.device):
        return None
    command = [sys.executable, "-m", "bench.loss", "--way", way, "--rows", str(arguments.rows)]
    command += ["--width", str(arguments.width), "--chunk", str(arguments.chunk), "--device", arguments.device]
    command += ["--kind", arguments.kind]
    environment = os.environ | MAPPED
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return Measured(**json.loads(done.stdout))


def report(arguments: argparse.Namespace, results: dict[str, Measured | None]) -> str:
    """Return the result as Markdown, with machine and date."""
    name = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else f"{os.cpu_count()} cores"
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {name}, torch {torch.__version__}; {arguments.rows} x "
        f"{arguments.width} float32, {arguments.kind}, one term, forward and backward, {arguments.chunk} rows a chunk.",
        "",
        "| way | GiB added | loss |",
        "|---|---|---|",
    ]
    for way, found in results.items():
        wanted = f"about {MATRICES * 4 * arguments.rows**2 / 2**30:.1f}"
        shown = f"{found.gib:.3f} | {found.loss:.6f}" if found else f"{wanted}, not run |"
        lines.append(f"| {way} | {shown} |")
    ours, other = results["chunked"], results["whole matrix"]
    assert ours is not None
    lines += ["", f"{ours.gib:.3f} GiB (target at 32,768 x 512: below {ALLOWED_GIB:g})."]
    if other:
        ratios = time_ratios(arguments)
        lines[-1] += (
            f" {other.gib / ours.gib:.1f} times less memory; {statistics.median(ratios):.2f} times the time "
            f"of the whole matrix ({min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds; "
            f"target: at most {ALLOWED_RATIO:g})."
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
    parser.add_argument("--kind", choices=("infonce", "siglip"), default="infonce", help="the loss")
    parser.add_argument("--small", action="store_true", help="4,096 rows")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which the times are compared")
    parser.add_argument("--way", choices=WAYS, help="measure only this way, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.rows = 4096
    if arguments.way:
        print(json.dumps(asdict(measure(arguments.way, arguments))))
        return
    print(report(arguments, {way: measure_apart(way, arguments) for way in WAYS}))


if __name__ == "__main__":
    main()

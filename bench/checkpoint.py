"""Seconds for which a checkpoint stops training: written in the background, and waited for as by a plain save.

    python -m bench.checkpoint                     # a model of 100 M parameters: 1.2 GB with its moments
    python -m bench.checkpoint --small             # 1 M parameters, one round: only checks that it works

Three ways to save the same model and AdamW's moments, in turn in each round: `CheckpointSaver.save`, which returns once
the tensors are copied; the same waited for, as a save in the foreground would be; and `torch.save` of the same state
with an fsync and a SHA-256, as checkpoints were written before. Between saves the page cache is flushed. Ratios are of
one round.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.memory import in_use
from shards.storage.files import file_sha256
from training.engine.checkpoints.checkpoint import CheckpointSaver
from training.engine.checkpoints.run_folder import CheckpointRecord, RunIdentity
from training.engine.parallel.distributed import Ranks

WAYS = ("background", "waited for", "torch.save")
ALLOWED_RATIO = 0.5
"""Highest share of a plain save's seconds for which a save in the background may stop training."""
_WIDTH = 1024


class Saved:
    """A stack of matrices as a task: what `CheckpointSaver` asks of one."""

    def __init__(self, millions: float) -> None:
        count = max(1, round(millions * 1e6 / _WIDTH**2))
        self.module = nn.Sequential(*(nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(count)))
        self.stored = self.module

    def save(self, folder: Path, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        """Write nothing beside the weights."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print seconds and ratios of each way; return 0 if the background costs at most the allowed share."""
    arguments = _arguments(argv)
    torch.set_num_threads(1)
    task: Any = Saved(1 if arguments.small else arguments.millions)
    optimizer = torch.optim.AdamW(task.module.parameters())
    for parameter in task.module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state_bytes = 3 * sum(parameter.nbytes for parameter in task.module.parameters())
    folder = Path(tempfile.mkdtemp(prefix="bench-checkpoint-", dir=arguments.folder))
    device = torch.device("cpu")
    rounds, before = [], in_use(device)
    try:
        with CheckpointSaver(folder / "run", Ranks(), keep=1) as saver:
            _background(saver, task, optimizer, 0)  # the copy's memory is reserved by the first save
            copied = in_use(device) - before
            for number in range(1, (1 if arguments.small else arguments.rounds) + 1):
                rounds.append(_round(saver, task, optimizer, folder, number))
    finally:
        shutil.rmtree(folder)
    return _print(rounds, state_bytes, copied)


def _round(
    saver: CheckpointSaver, task: Any, optimizer: torch.optim.Optimizer, folder: Path, number: int
) -> dict[str, float]:
    """Return the seconds of each way."""
    stopped, whole = _background(saver, task, optimizer, number)
    os.sync()
    began = time.perf_counter()
    with (folder / "plain.pt").open("wb") as stream:
        torch.save({"model": task.module.state_dict(), "optimizer": optimizer.state_dict()}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    file_sha256(folder / "plain.pt")
    return dict(zip(WAYS, (stopped, whole, time.perf_counter() - began), strict=True))


def _background(
    saver: CheckpointSaver, task: Any, optimizer: torch.optim.Optimizer, number: int
) -> tuple[float, float]:
    """Return the seconds until a save returns, and until its checkpoint is on the disk."""
    os.sync()
    began = time.perf_counter()
    saver.save(task, optimizer, CheckpointRecord(number, RunIdentity(1, "bench", {}), {}))
    stopped = time.perf_counter() - began
    saver.wait()
    return stopped, time.perf_counter() - began


def _print(rounds: list[dict[str, float]], state_bytes: int, copied: float) -> int:
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"weights and moments {state_bytes / 1e9:.2f} GB; memory of the copy {copied / 1e9:.2f} GB")
    for way in WAYS:
        seconds = [each[way] for each in rounds]
        print(f"{way:12}{statistics.median(seconds):8.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    for other in WAYS[1:]:
        ratios = sorted(each["background"] / each[other] for each in rounds)
        middle = statistics.median(ratios)
        print(f"background / {other}: {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0 if middle <= ALLOWED_RATIO else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    summary = "Seconds for which a checkpoint stops training."
    parser = argparse.ArgumentParser(prog="bench.checkpoint", description=summary)
    parser.add_argument("--millions", type=float, default=100, metavar="N", help="parameters in millions (default 100)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to write (default: the temporary folder)")
    parser.add_argument("--small", action="store_true", help="one round of a small model")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

"""Runs of `train-vidla` on small shards: in this process, in another one, and under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.vidla.cli import main

ARCHITECTURE = {
    "embed_dim": 24,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def architecture(folder: Path) -> str:
    """`init` for a tiny random model."""
    path = folder / "architecture.json"
    if not path.exists():
        path.write_text(json.dumps(ARCHITECTURE))
    return f"random:{path}"


def arguments(shards: Path, output: Path, *more: str, steps: int = 6, batch: int = 4) -> list[str]:
    """A short run that logs every step."""
    given = ["--shards", str(shards), "--init", architecture(shards.parent), "--output", str(output)]
    given += ["--steps", str(steps), "--batch-size", str(batch), "--frames", "6", "--device", "cpu"]
    for setting in ("data.workers=0", "loop.log_every=1", "loop.save_every=2", "optim.lr=1e-3", "compute.threads=1"):
        given += ["--set", setting]
    return [*given, *more]


def train(*given: str) -> int:
    """Run the command here; torch's number of threads is put back."""
    import torch

    threads = torch.get_num_threads()
    try:
        return main(given)
    finally:
        torch.set_num_threads(threads)


def start(given: Sequence[str], ranks: int = 1) -> subprocess.Popen[str]:
    """Run the command in a process of its own, or in several under torchrun."""
    module = ["-m", "training.vidla.cli", *given]
    if ranks > 1:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
        module = [*launcher, "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", *module]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, *module], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def losses(output: Path) -> dict[int, dict[str, float]]:
    """The loss terms by step, of the run's log; a step that is there twice fails."""
    found: dict[int, dict[str, float]] = {}
    for line in (output / "metrics.jsonl").read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        if row["kind"] == "train":
            assert row["step"] not in found, f"step {row['step']} is logged twice"
            found[row["step"]] = {name: value for name, value in row.items() if name.startswith("loss/")}
    return found

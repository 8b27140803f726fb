"""Runs of `train-vidla` on small shards: in this process, in another one, and under torchrun."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.commands import apart, here, losses

from training.vidla.train_vidla import main

__all__ = ["architecture", "arguments", "losses", "start", "train"]

ARCHITECTURE = {
    "embed_dim": 24,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def architecture(folder: Path) -> str:
    """Return an `init` for a tiny random model."""
    path = folder / "architecture.json"
    if not path.exists():
        path.write_text(json.dumps(ARCHITECTURE))
    return f"random:{path}"


def arguments(shards: Path, output: Path, *more: str, steps: int = 6, batch: int = 4) -> list[str]:
    """Return the arguments of a short run that logs every step."""
    given = ["--shards", str(shards), "--init", architecture(shards.parent), "--output", str(output)]
    given += ["--steps", str(steps), "--batch-size", str(batch), "--frames", "6", "--device", "cpu"]
    for setting in ("data.workers=0", "loop.log_every=1", "loop.save_every=2", "optim.lr=1e-3", "compute.threads=1"):
        given += ["--set", setting]
    return [*given, *more]


def train(*given: str) -> int:
    """Run the command in this process."""
    return here(main, given)


def start(given: Sequence[str], ranks: int = 1) -> subprocess.Popen[str]:
    """Run the command in a process of its own, or in several under torchrun."""
    return apart("training.vidla.train_vidla", given, ranks)

"""Runs of `train-vidlankd` on small shards and a small corpus: in this process, in another one, and under torchrun."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.commands import apart, here, losses
from support.shard_factory import build_dir
from support.tiny_bert import WORDS, tiny_tokenizer

from training.vidlankd.train_vidlankd import main

__all__ = ["Recipe", "command", "extraction", "losses", "recipe", "start", "student", "teacher"]

SHAPE = "model.shape={layers: 2, hidden: 32, heads: 2, intermediate: 64, positions: 64}"


@dataclass(frozen=True)
class Recipe:
    """Outputs of the steps before a training."""

    shards: Path
    tokenizer: str
    """URI of the vocabulary."""
    tokens: Path
    """A tokenised corpus."""
    features: str = "tiny"
    """Name of the feature set."""


def recipe(folder: Path) -> Recipe:
    """Build shards, their features and a tokenised corpus in `folder` with the commands themselves."""
    made = Recipe(folder / "shards", f"path://{tiny_tokenizer(folder / 'vocabulary')}", folder / "tokens")
    build_dir(made.shards, shards=2, videos_per_shard=5, val_percent=30)
    draw = random.Random(0)
    lines = (" ".join(draw.choices(WORDS, k=draw.randint(4, 24))) for _ in range(300))
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n")
    assert command(*extraction(made.shards, made.features)) == 0
    corpus = ["--corpus", str(folder / "corpus.txt"), "--output", str(made.tokens), "--block", "30"]
    assert command("tokenize", *corpus, "--tokenizer", made.tokenizer) == 0
    return made


def extraction(shards: Path, name: str) -> list[str]:
    """Return the arguments that extract features on Ray, with one worker (each takes seconds to import torch)."""
    given = ["--shards", str(shards), "--encoder", "clip:random:tiny", "--name", name, "--device", "cpu"]
    return ["features", *given, "--set", "pool.max=1"]


def teacher(made: Recipe, output: Path, *more: str, steps: int = 6) -> list[str]:
    """Return the arguments of a short run of a teacher that logs every step."""
    given = ["teacher", "--shards", str(made.shards), "--features", made.features, *_run(output, steps, 4)]
    given += ["--set", f"model.tokenizer={made.tokenizer}", "--set", "model.block=32", "--set", "data.text=[caption]"]
    return [*given, *more]


def student(made: Recipe, output: Path, *more: str, teacher: Path | None = None, steps: int = 6) -> list[str]:
    """Return the arguments of a short run of a student that logs every step."""
    given = ["student", "--corpus", str(made.tokens), *_run(output, steps, 8), "--set", "data.held_out=0.1"]
    if teacher is not None:
        given += ["--teacher", str(teacher), "--set", "loss.queue=64"]
    return [*given, *more]


def command(*given: str) -> int:
    """Run the command in this process."""
    return here(main, given)


def start(given: Sequence[str], ranks: int = 1) -> subprocess.Popen[str]:
    """Start the command in a process of its own, or in several under torchrun."""
    return apart("training.vidlankd.train_vidlankd", given, ranks)


def _run(output: Path, steps: int, batch: int) -> list[str]:
    given = ["--output", str(output), "--steps", str(steps), "--batch-size", str(batch), "--device", "cpu"]
    for setting in ("loop.log_every=1", "loop.save_every=2", "optim.lr=1e-3", "compute.threads=1", SHAPE):
        given += ["--set", setting]
    return given

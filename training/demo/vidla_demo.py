"""`make demo-train`: train on the shards of `make demo`, score the held-out split, and open the model.

python -m training.demo.vidla_demo --shards demo/shards --output demo/vidla

The model is tiny and starts from random weights: the demo shows that every part runs, not what the method can do.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from training.demo.clip_ranking import show_rankings
from training.demo.loss_summary import show_losses
from training.vidla import eval_vidla, train_vidla

_STEPS = 3


def main() -> int:
    """Train, evaluate and load a model; return the exit status of the first step that failed."""
    parser = argparse.ArgumentParser(prog="python -m training.demo.vidla_demo", description=__doc__)
    parser.add_argument("--shards", default="demo/shards", metavar="DIR")
    parser.add_argument("--output", type=Path, default=Path("demo/vidla"), metavar="DIR")
    arguments = parser.parse_args()
    shards, output = arguments.shards, arguments.output
    started = time.monotonic()
    train = ["--shards", shards, "--init", "random:tiny", "--output", str(output), "--steps", "50", "--batch-size", "6"]
    train += ["--resume", "auto", "--set", "optim.lr=1e-3", "--set", "loop.evaluate_every=25"]
    train += ["--set", "loop.save_every=25", "--set", "data.workers=1"]
    _say(1, f"train-vidla {' '.join(train)}")
    if status := train_vidla.main(train):
        return status
    show_losses(output)
    score = ["retrieval", "--checkpoint", str(output / "best"), "--benchmark", "shards", "--shards", shards]
    score += ["--output", str(output / "retrieval.json")]
    _say(2, f"eval-vidla {' '.join(score)}")
    if status := eval_vidla.main(score):
        return status
    _say(3, "three lines open it; the clips of the DIR, ranked for texts that were held out of training")
    show_rankings(output / "best", shards)
    print(f"\nDone in {time.monotonic() - started:.0f} s. Curves: tensorboard --logdir {output}")
    return 0


def _say(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

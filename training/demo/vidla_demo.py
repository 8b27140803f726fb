"""`make demo-train`: train on the shards of `make demo`, hold out its videos in turn, and open a model.

python -m training.demo.vidla_demo --shards demo/shards --output demo/vidla

The models are tiny and start from random weights: the demo shows that every part runs, not what the method can do.
The first is trained on the layer's own split. For a score that means something, three more are trained, each without
the videos that it is scored on: together they are asked for every short clip with a grounded text.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from training.demo.clip_ranking import show_rankings
from training.demo.hold_out import pool, write_folds
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
    if status := _train(1, shards, output, []):
        return status
    reports = []
    for name in write_folds(shards):
        if status := _train(2, shards, output / name, ["--select", name]):
            return status
        report = output / name / "retrieval.json"
        score = ["retrieval", "--checkpoint", str(output / name / "best"), "--benchmark", "shards", "--shards", shards]
        score += ["--select", name, "--clips", "short", "--output", str(report)]
        _say(2, f"eval-vidla {' '.join(score)}")
        if status := eval_vidla.main(score):
            return status
        reports.append(report)
    pooled = pool(reports)
    print(f"\n{pooled.clips} clips, each ranked by a model that has not seen its video, for its own text:")
    print(f"  first: {pooled.first} clips (by chance {pooled.first_by_chance:.1f})")
    print(f"  mean rank: {pooled.mean_rank:.1f} (by chance {pooled.mean_rank_by_chance:.1f})")
    _say(3, f"three lines open {output / name}; the clips of the DIR, ranked for texts that it has not seen")
    show_rankings(output / name / "best", shards, selection=name)
    print(f"\nDone in {time.monotonic() - started:.0f} s. Curves: tensorboard --logdir {output}")
    return 0


def _train(step: int, shards: str, output: Path, more: list[str]) -> int:
    train = ["--shards", shards, "--init", "random:tiny", "--output", str(output), "--steps", "50", "--batch-size", "6"]
    train += ["--resume", "auto", "--set", "optim.lr=1e-3", "--set", "loop.evaluate_every=25"]
    train += ["--set", "loop.save_every=25", "--set", "data.workers=1", *more]
    _say(step, f"train-vidla {' '.join(train)}")
    status = train_vidla.main(train)
    if not status:
        show_losses(output)
    return status


def _say(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`make demo-train`: train on the shards of `make demo`, score the held-out split, and open the model.

python -m training.demo.vidla_demo --shards demo/shards --output demo/vidla

The model is tiny and starts from random weights: the demo shows that every part runs, not what the method can do.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

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
    train = ["--shards", shards, "--init", "random:tiny", "--output", str(output), "--steps", "50", "--batch-size", "8"]
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
    _say(3, "three lines open it")
    _load(output / "best")
    print(f"\nDone in {time.monotonic() - started:.0f} s. Curves: tensorboard --logdir {output}")
    return 0


def _load(folder: Path) -> None:
    import torch

    from training.vidla import load

    model = load(folder)
    with torch.inference_mode():
        video = model.encode_video(torch.zeros(1, 12, 3, model.image_size, model.image_size))
        text = model.encode_text(model.tokenizer(["a lion looks at us"]))
    print(f"encode_video {tuple(video.shape)}, encode_text {tuple(text.shape)}, cosine {float(video @ text.T):.3f}")


def _say(step: int, text: str) -> None:
    print(f"\n== {step}/{_STEPS}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

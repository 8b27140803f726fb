"""The loop: what does a model gain by training on clips that an earlier model chose? On a generated world, on CPU.

    python -m bench.loop --output FILE.md    # three seeds; a few CPU-minutes
    python -m bench.loop --small             # the same code in a minute; so few steps teach nothing

Half of the texts of the world belong to other videos (`bench.loop_data`). For each seed four tiny models are trained
from the same random weights for the same number of steps:

    first     on all clips
    second    on the clips that the first model's scores choose: match_percentile of at least 0.8
    random    on as many clips, drawn at random: what fewer clips alone do
    clean     on the clips whose texts are right: the most that choosing could give

The steps are the commands of `docs/loop.md`: `train-vidla`, `eval-vidla score`, `curate select`, `train-vidla`. Each
model names the text of new videos, one of 12; chance is 8.3 %.

Shapes: N videos, D embedding.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from bench.loop_data import LAYER, SCENES, SECONDS, SIZE, Made, write_world
from curation import cli as curate
from shards.reader import committed_media, read_artifact, read_table
from shards.scores.match import PERCENTILE
from shards.selections.selection import table_name
from shards.storage.store import Store
from shards.writer import commit_table
from training.engine.checkpoints.run_folder import newest_checkpoint
from training.engine.parallel.distributed import Ranks
from training.evaluation.benchmarks.retrieval.retrieval_set import VideoItem
from training.evaluation.scoring.shard_clips import read_clips
from training.evaluation.video.embeddings import EmbeddingOptions, embed_texts, embed_videos
from training.evaluation.video.models.open_model import open_model
from training.vidla import eval_vidla, train_vidla

LEAST: Final = 0.8
"""Percentile from which a clip is chosen; set before the first run, not fitted."""
MODEL: Final = {
    "embed_dim": 32,
    "quick_gelu": False,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 48, "head_width": 24, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
ARMS: Final = ("first", "second", "random", "clean")
FRAMES: Final = 2


@dataclass(frozen=True)
class Size:
    """The length of one run of the loop."""

    videos: int
    steps: int
    batch: int
    held_out: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of one seed."""

    right: dict[str, float]
    """Share of new videos whose text each model names, in percent."""
    chosen: float
    """Share of all clips that the first model's scores choose, in percent."""
    clean: float
    """Share of the chosen clips whose text is right, in percent."""
    kept: float
    """Share of the clips with a right text that are chosen, in percent."""


def main() -> int:
    """Run the loop for each seed, print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file for the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--videos", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--small", action="store_true", help="one seed, 256 videos, 5 steps")
    arguments = parser.parse_args()
    size = Size(arguments.videos, arguments.steps, 32, 240)
    seeds = arguments.seeds
    if arguments.small:
        size, seeds = Size(256, 5, 16, 64), [0]
    began = time.process_time()
    outcomes = []
    for seed in seeds:
        with TemporaryDirectory() as folder:
            outcomes.append(run(Path(folder), seed, size))
        print(f"seed {seed}: {outcomes[-1]}", file=sys.stderr)
    text = report(outcomes, seeds, size, time.process_time() - began)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


def run(folder: Path, seed: int, size: Size) -> Outcome:
    """Run the loop once, and train the two models that it is compared with."""
    world, new = folder / "world", folder / "new"
    made = write_world(world, size.videos, seed, noisy=True)
    held_out = write_world(new, size.held_out, seed + 1000, noisy=False)
    (folder / "model.json").write_text(json.dumps(MODEL))
    store, right = Store(world), {}

    def trained(arm: str, selection: str) -> None:
        _train(folder, arm, selection, seed, size)
        right[arm] = _named(_model(folder / arm), new, held_out)
        print(f"seed {seed}: {arm} names {right[arm]:.1f} %", file=sys.stderr, flush=True)

    trained("first", LAYER)
    scored = ("--shards", world, "--name", "first", "--text", "caption")
    _command(eval_vidla.main, "score", "--checkpoint", _model(folder / "first"), *scored)
    _command(curate.main, "select", world, "--name", "second", "--where", f"{PERCENTILE} >= {LEAST}")
    chosen = _kept(store, "second")
    print(f"seed {seed}: chosen {len(chosen)}, of these right {len(chosen - made.wrong)}", file=sys.stderr, flush=True)
    trained("second", "second")
    drawn = np.random.default_rng(seed).permutation(sorted(made.scenes))[: len(chosen)]
    for arm, keys in (("random", set(drawn.tolist())), ("clean", set(made.scenes) - made.wrong)):
        _write_selection(store, arm, keys)
        trained(arm, arm)
    clean = len(chosen - made.wrong)
    every = len(made.scenes)
    return Outcome(right, 100 * len(chosen) / every, 100 * clean / len(chosen), 100 * clean / (every - len(made.wrong)))


def report(outcomes: Sequence[Outcome], seeds: Sequence[int], size: Size, seconds: float) -> str:
    """Return the table: mean ± standard deviation over seeds."""
    lines = [
        f"{size.videos} videos of {SECONDS} s, {len(SCENES)} texts, half of them another video's; "
        f"{size.steps} steps of {size.batch} clips of {FRAMES} frames; "
        f"seeds {', '.join(map(str, seeds))}; {seconds / 60:.0f} CPU-minutes.",
        "",
        f"| trained on | names the text of {size.held_out} new videos, % (chance {100 / len(SCENES):.1f}) |",
        "|---|---|",
        *(f"| {arm} | {_spread([outcome.right[arm] for outcome in outcomes])} |" for arm in ARMS),
        "",
        f"second over first: {_spread([each.right['second'] - each.right['first'] for each in outcomes])} points; "
        f"the first model's scores choose {_spread([each.chosen for each in outcomes])} % of the clips, "
        f"{_spread([each.clean for each in outcomes])} % of these have a right text, and "
        f"{_spread([each.kept for each in outcomes])} % of the clips with a right text are chosen.",
        "",
    ]
    return "\n".join(lines)


def _train(folder: Path, arm: str, selection: str, seed: int, size: Size) -> None:
    settings = (
        "loss.terms={text: caption}",
        f"data.size={SIZE}",
        "data.augment.flip=false",
        "data.clips_per_root=1",
        "data.workers=0",
        "model.temporal.levels=1",
        "optim.lr=2e-3",
        "optim.lr_end=1e-5",
        "optim.clip_norm=1.0",
        "evaluation.max_clips=0",
        "compute.precision=fp32",
        "compute.threads=1",
        "loop.log_every=25",
    )
    run = ("--output", folder / arm, "--steps", size.steps, "--batch-size", size.batch, "--seed", seed)
    chosen = ("--shards", folder / "world", "--select", selection)
    model = ("--init", f"random:{folder / 'model.json'}", "--frames", FRAMES)
    _command(train_vidla.main, *chosen, *model, *run, *(part for one in settings for part in ("--set", one)))


def _model(run: Path) -> Path:
    """Return the last model of a run."""
    newest = newest_checkpoint(run)
    assert newest is not None, "the run has ended"
    return newest


def _named(model: Path, new: Path, held_out: Made) -> float:
    """Return the share of new videos whose text a model names, in percent."""
    opened, frames = open_model(str(model), None, torch.device("cpu"))
    store = Store(new)
    shards = sorted(committed_media(store))
    clips = [(key, item) for shard in shards for key, item in _items(store, shard)]
    options = EmbeddingOptions(frames, batch_size=32, snap=True)
    clip_ND, failed = embed_videos(opened, [item for _, item in clips], options, Ranks())
    assert not failed, "every generated video can be decoded"
    nearest_N = (clip_ND @ embed_texts(opened, [scene.text for scene in SCENES]).T).argmax(dim=1).tolist()
    named = [SCENES[number] == held_out.scenes[key] for number, (key, _) in zip(nearest_N, clips, strict=True)]
    return 100 * statistics.mean(named)


def _items(store: Store, shard: int) -> Iterator[tuple[str, VideoItem]]:
    clips = read_clips(store, shard, None, ())
    return zip(clips.keys, clips.items, strict=True)


def _kept(store: Store, name: str) -> set[str]:
    table = read_table(store, table_name(name), ["key", "keep"])
    return set(table.filter(table["keep"])["key"].to_pylist())


def _write_selection(store: Store, name: str, keys: set[str]) -> None:
    whole = read_table(store, table_name(LAYER))
    keep = pc.is_in(whole["key"], value_set=pa.array(sorted(keys), pa.string()))
    table = whole.set_column(whole.schema.get_field_index("keep"), "keep", keep)
    with TemporaryDirectory() as scratch:
        commit_table(store, Path(scratch), table_name(name), table, read_artifact(store, table_name(LAYER)))


def _command(main: Callable[[Sequence[str]], int], *arguments: object) -> None:
    status = main([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    sys.exit(main())

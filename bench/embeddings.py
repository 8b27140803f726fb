"""Vectors of clips: the score stage with `embedding` against its bare tower on the same frames, in one run.

    python -m bench.embeddings --shards demo/shards      # a few minutes; ViT-B-32 with random weights

The stage reads each root, decodes keyframes at one a second, scales and crops them, runs the tower, averages, and
commits a table with vectors. The bare tower runs on the same frames, ready in memory, in batches of the same size.
Both run on one thread; rounds alternate. The ratio is that of median CPU-seconds (on a GPU: of seconds), 1 if all that
the stage does around its tower cost nothing.

Shapes: N frames, B frames of a batch, C colours, H height, W width.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from curation.engines.models.image_text_model import ImageTextModel
from curation.scores.score_registry import ScoreSettings
from curation.scores.score_stage import score_worker
from curation.stages.shard_table import ShardTable
from shards.reader import committed_media
from shards.storage.store import Store

BATCH = 32


def main() -> int:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, default=Path("demo/shards"), help="a DIR with media")
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--limit", type=int, default=8, help="most shards")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        model = _write_model(Path(scratch) / "model", arguments.architecture)
        root = _linked(arguments.shards.resolve(), Path(scratch) / "dir", arguments.limit)
        print(_measured(root, model, arguments.device, arguments.rounds, arguments.architecture))
    return 0


def _measured(root: Path, model: str, device: str, rounds: int, architecture: str) -> str:
    shards = sorted(committed_media(Store(root)))
    values = {"model": model, "text": [], "batch": BATCH, "device": device}
    settings = ScoreSettings.model_validate({"scores": ["embedding"], "embedding": values})
    table = ShardTable("score", str(root), "scores/bench", str(root / "scratch"), "bench")
    worker = score_worker(table, settings, None, {})
    tower, inputs = ImageTextModel(model, device), _recorded(worker, shards)

    def stage() -> None:
        for shard in shards:
            result = asyncio.run(worker.process(shard))
            assert result.fatal is None, result.fatal

    def bare() -> None:
        for part in inputs:
            for first in range(0, len(part), BATCH):
                tower.vectors(part[first : first + BATCH])

    seconds: dict[str, list[float]] = {"bare tower": [], "stage": []}
    for _ in range(rounds):
        seconds["bare tower"].append(_timed(bare, device))
        seconds["stage"].append(_timed(stage, device))
    return _report(seconds, sum(map(len, inputs)), architecture, device, len(shards))


def _recorded(worker: Any, shards: Sequence[int]) -> list[list[torch.Tensor]]:
    """Return the inputs of the tower in an untimed pass of the stage, root by root; it warms everything up, too."""
    (named,) = worker._scorers
    own: ImageTextModel = named.scorer._model
    recorded: list[list[torch.Tensor]] = []
    vectors = own.vectors

    def record(inputs: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        recorded.append(list(inputs))
        return vectors(inputs)

    own.vectors = record  # type: ignore[method-assign]
    for shard in shards:
        asyncio.run(worker.process(shard))
    own.vectors = vectors  # type: ignore[method-assign]
    return recorded


def _timed(work: Callable[[], None], device: str) -> float:
    """Return CPU-seconds, which other work on the machine changes little; seconds if the tower is on a GPU."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    began = clock()
    work()
    return clock() - began


def _write_model(folder: Path, architecture: str) -> str:
    """Write a model with random weights as hubs publish them; return its URI."""
    config: Mapping[str, Any] | None = open_clip.get_model_config(architecture)
    if config is None:
        raise SystemExit(f"--architecture {architecture}: unknown to open_clip")
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    torch.save(open_clip.create_model(architecture).state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"path://{folder}"


def _linked(shards: Path, root: Path, limit: int) -> Path:
    """Return a new DIR whose media are links to those of another, so that nothing is written there."""
    (root / "media").mkdir(parents=True)
    (root / "keyframes").mkdir()
    (root / "manifest.json").symlink_to(shards / "manifest.json")
    for table in sorted((shards / "media").glob("*.parquet"))[:limit]:
        table.with_suffix(".tar").exists() or sys.exit(f"{table}: has no tar")
        for name in (f"media/{table.name}", f"media/{table.stem}.tar", f"keyframes/{table.stem}.tar"):
            (root / name).symlink_to(shards / name)
    return root


def _report(seconds: Mapping[str, list[float]], frames: int, architecture: str, device: str, shards: int) -> str:
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    lines = [
        f"{platform.machine()}, {device}, {torch.get_num_threads()} thread, torch {torch.__version__}; "
        f"{architecture}, {frames} frames of {shards} shards, batches of {BATCH}; "
        f"medians of {len(seconds['stage'])} rounds.",
        "",
        f"| | frames a {'CPU-' * (device == 'cpu')}second | of the bare tower |",
        "|---|---|---|",
        *(f"| {name} | {frames / each:.1f} | {middle['bare tower'] / each:.2f} |" for name, each in middle.items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

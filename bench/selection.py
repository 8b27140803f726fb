"""CPU time and memory of choosing clips: the stage `select`, against marking the rows of the text tables themselves.

    python -m bench.selection                    # 100,000 clips in 100 shards, and a tenth of them
    python -m bench.selection --clips 10000 --shards 10
    python -m bench.selection --recipes                                    # 1,000,000 clips in 100 shards
    python -m bench.selection --recipes --clips 10000000 --shards 1000     # 3 GB of disk, minutes

The third and the fourth time `curate select` with two recipes, without the start of the program: another threshold of a
score, and all conditions at once. Memory is the peak of the whole process then.

The text tables have the columns and about the bytes of a real layer, and all filters are on. The other way reads every
text table whole, adds the marks and writes it anew: what a threshold costs at least if the marks are in the texts, were
no language model asked again. Each way runs in a process of its own; memory is the peak that the work adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import torch

from bench.memory import in_use, peak
from bench.selection_data import LAYER, write_dir
from curation.filters.filter_registry import FilterSettings
from curation.filters.word_count_filter import WordLimits
from curation.selection.choosing.make_selection import make_selection
from curation.selection.choosing.recipe import build_recipe
from curation.selection.clip_marks import MEDIA_COLUMNS, mark_clips
from curation.selection.select_stage import SELECT, SelectWorker
from curation.stages.whole_table import InputTables, WholeTable
from shards.artifact import Artifact
from shards.keys import clip_key, shard_name, video_id
from shards.reader import read_table
from shards.schema import CLIPS, SELECTION, TEXT
from shards.selections.selection import MARKS, table_name
from shards.storage.store import Store
from shards.writer import commit_table

WAYS: Final = ("select", "texts anew")
RECIPES: Final[dict[str, dict[str, Any]]] = {
    "threshold": {"layer": LAYER, "where": "match > 0.31"},
    "all conditions": {
        "layer": LAYER, "licence": ["creative commons*"], "clean_of": "tests",
        "where": ["match > 0.31 and blur < 0.9", "motion > 0.01 and grounding_score > 0.1"], "dedup": "all",
        "balance": {"by": "video_uploader", "most": 50_000}, "top": {"number": 500_000, "by": "match - blur"},
        "sample": {"share": 0.5}, "val_percent": 2.0,
    },
}  # fmt: skip
FILTERS: Final = FilterSettings(
    languages=("en",), min_motion=0.01, min_speech_share=0.1, words={"short": WordLimits(min=5, max=60)}
)
_WORDS: Final = [f"word{number}" for number in range(2000)]
_CLIPS_OF_A_VIDEO: Final = 50
_CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class Measured:
    """Result of one way."""

    cpu_seconds: float
    wall_seconds: float
    mib: float


def write_tables(root: Path, clips: int, shards: int) -> None:
    """Write the media and text tables of a DIR; no videos."""
    store, rng = Store(root), random.Random(0)
    for shard in range(shards):
        rows = [_row(shard, number, rng) for number in range(clips // shards)]
        for folder, schema in (("media", CLIPS), ("text/bench", TEXT)):
            table = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)
            commit_table(store, root.parent, f"{folder}/{shard_name(shard)}.parquet", table, Artifact(folder, "h"))


def _row(shard: int, number: int, rng: random.Random) -> dict[str, Any]:
    video = video_id(f"{shard}-{number // _CLIPS_OF_A_VIDEO}")
    start = 13.0 * (number % _CLIPS_OF_A_VIDEO)
    key, caption = clip_key(video, start, start + 13), " ".join(rng.choices(_WORDS, k=11))
    return {
        "key": key, "root_key": key, "video_id": video, "source": f"https://example.org/{video}", "level": "short",
        "shard": shard, "start": start, "end": start + 13, "offset": 0.0, "width": 256, "height": 144,
        "num_frames": 104,
        "fps": 8.0, "language": "en", "subtitle": " ".join(rng.choices(_WORDS, k=rng.randint(0, 70))),
        "subtitle_origin": "auto", "speech_seconds": rng.uniform(0, 13), "motion": rng.uniform(0, 0.1),
        "byte_offset": 0, "byte_size": 1, "caption": caption, "caption_summary": caption, "grounded_text": caption,
        "frame_captions": [{"time": start + 6, "text": caption}], "rewrite_status": "ok", "grounding_score": 1.0,
    }  # fmt: skip


def select(root: Path, shards: Sequence[int]) -> None:
    """Run the stage."""
    media, texts = (InputTables(str(root), folder, folder) for folder in ("media", "text/bench"))
    output = WholeTable(SELECT.name, str(root), table_name("bench"), str(root.parent), "h", SELECTION)
    result = asyncio.run(SelectWorker(media, texts, output, FILTERS, 1.0).process_all(shards))
    assert result.fatal is None, result.fatal


def texts_anew(root: Path, shards: Sequence[int]) -> None:
    """Write each text table again with its marks, into another folder."""
    store = Store(root)
    schema = pa.schema([*TEXT, *(SELECTION.field(mark) for mark in MARKS)])
    for shard in shards:
        name = f"{shard_name(shard)}.parquet"
        table = read_table(store, f"text/bench/{name}")
        marks = mark_clips(table, read_table(store, f"media/{name}", MEDIA_COLUMNS), FILTERS, 1.0)
        for mark in MARKS:
            table = table.append_column(SELECTION.field(mark), marks[mark])
        commit_table(store, root.parent, f"text/anew/{name}", table, Artifact("rewrite", "h"), schema)


def measure(way: str, root: Path, shards: int) -> Measured:
    """Run one way in this process, after one shard that loads the libraries."""
    work = select if way == "select" else texts_anew
    work(root, range(1))
    before, began, cpu = in_use(_CPU), time.perf_counter(), time.process_time()
    work(root, range(shards))
    seconds = time.process_time() - cpu, time.perf_counter() - began
    return Measured(*seconds, (peak(_CPU) - before) / 2**20)


def measure_recipe(name: str, root: Path) -> Measured:
    """Make a selection by one recipe in this process."""
    store, recipe = Store(root), build_recipe(RECIPES[name])
    in_use(_CPU)
    began, cpu = time.perf_counter(), time.process_time()
    make_selection(store, "made", recipe)
    return Measured(time.process_time() - cpu, time.perf_counter() - began, peak(_CPU) / 2**20)


def measure_apart(way: str, root: Path, shards: int) -> Measured:
    """Run one way in a process of its own."""
    command = [sys.executable, "-m", "bench.selection", "--way", way, "--dir", str(root), "--shards", str(shards)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def compare_recipes(clips: int, shards: int) -> None:
    """Measure each recipe twice over one DIR; the second time its tables are in memory."""
    print(f"{platform.machine()}, {clips:,} clips in {shards} shards")
    with tempfile.TemporaryDirectory(prefix="bench-selection-") as folder:
        root = Path(folder) / "dir"
        write_dir(root, clips, shards)
        for name in RECIPES:
            for _ in range(2):
                one = measure_apart(name, root, shards)
                print(f"{name:<15} {one.cpu_seconds:6.1f} CPU-s {one.wall_seconds:6.1f} s {one.mib:6.0f} MiB")


def main() -> None:
    """Measure both ways at both sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--recipes", action="store_true", help="time `curate select` instead")
    parser.add_argument("--way", choices=(*WAYS, *RECIPES), help=argparse.SUPPRESS)
    parser.add_argument("--dir", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        by_recipe = arguments.way in RECIPES
        one = (
            measure_recipe(arguments.way, arguments.dir)
            if by_recipe
            else measure(arguments.way, arguments.dir, arguments.shards)
        )
        print(json.dumps(asdict(one)))
        return
    if arguments.recipes:
        compare_recipes(arguments.clips or 1_000_000, arguments.shards)
        return
    arguments.clips = arguments.clips or 100_000
    print(f"{platform.machine()}, {arguments.clips:,} clips in {arguments.shards} shards, and a tenth of them")
    with tempfile.TemporaryDirectory(prefix="bench-selection-") as folder:
        root = Path(folder) / "dir"
        write_tables(root, arguments.clips, arguments.shards)
        for shards in (max(arguments.shards // 10, 1), arguments.shards):
            found = {way: measure_apart(way, root, shards) for way in WAYS}
            for way, one in found.items():
                clips = arguments.clips * shards // arguments.shards
                print(
                    f"{clips:>8,} {way:<12} {one.cpu_seconds:6.1f} CPU-s {one.wall_seconds:6.1f} s {one.mib:6.0f} MiB"
                )
            print(f"ratio of CPU-s: {found['texts anew'].cpu_seconds / found['select'].cpu_seconds:.1f}")


if __name__ == "__main__":
    main()
